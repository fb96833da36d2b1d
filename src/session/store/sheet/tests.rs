use proptest::prelude::*;

use super::*;
use crate::session::formats::{assert_committed, committed_bytes};

/// Times of a century or so.
const TIMES: std::ops::Range<u64> = 0..4_000_000_000_000;

fn calendar() -> Calendar {
    Calendar { epoch: Instant::now() }
}

fn key() -> impl Strategy<Value = RecordKey> {
    "[a-z]{1,8}".prop_map(|token| RecordKey::of("company", &RefreshToken::new(&token)))
}

fn term(calendar: Calendar) -> impl Strategy<Value = Term> {
    (TIMES, 0..100_000_u64)
        .prop_map(move |(since, length)| Term { since: calendar.instant(since), length: Duration::from_millis(length) })
}

fn troubles(calendar: Calendar) -> impl Strategy<Value = Troubles> {
    (any::<u32>(), any::<bool>(), prop::option::of(term(calendar)), any::<bool>())
        .prop_map(|(in_a_row, answer_lost, rest, nameless)| Troubles { in_a_row, answer_lost, nameless, rest })
}

fn state(calendar: Calendar) -> impl Strategy<Value = State> {
    prop_oneof![
        troubles(calendar).prop_map(State::Unspent),
        (any::<u64>(), term(calendar), troubles(calendar)).prop_map(|(number, lease, troubles)| State::InFlight {
            number,
            lease,
            troubles
        }),
        (key(), prop::option::of(TIMES)).prop_map(move |(successor, at)| State::Renewed {
            successor,
            confirmed_at: at.map(|at| calendar.instant(at))
        }),
        Just(State::Lapsed),
        Just(State::Rejected),
    ]
}

fn tokens(calendar: Calendar) -> impl Strategy<Value = Fresh> {
    let access = (".{1,40}", prop::option::of(".{0,20}"), any::<u64>(), any::<u64>());
    (prop::option::of(access), ".{1,40}", TIMES).prop_map(move |(access, refresh, at)| Fresh {
        tokens: Tokens {
            access: access.map(|(token, subject, expires_at, due_at)| Access {
                token: AccessToken::new(&token),
                subject: subject.map(Into::into),
                expires_at: Timestamp(expires_at),
                due_at: Timestamp(due_at),
            }),
            refresh_token: RefreshToken::new(&refresh),
        },
        recorded_at: calendar.instant(at),
    })
}

fn record(calendar: Calendar) -> impl Strategy<Value = Record> {
    let hashes = prop::collection::vec((".{1,9}", any::<u64>()), 0..3);
    let parts = (state(calendar), prop::option::of(tokens(calendar)), hashes, prop::option::of(key()), TIMES);
    (any::<[u8; 16]>(), parts).prop_map(move |(session, (state, tokens, hashes, predecessor, seen))| Record {
        session: SessionId(session),
        state,
        tokens,
        access_tokens: hashes.iter().map(|(token, until)| (TokenHash::of(token), Timestamp(*until))).collect(),
        predecessor,
        seen: calendar.instant(seen),
    })
}

fn sheet(calendar: Calendar) -> impl Strategy<Value = Sheet> {
    let cause = prop::sample::select(vec![EndCause::SignedOut, EndCause::Reused, EndCause::IdentityChanged]);
    let ended = (TIMES, any::<[u8; 16]>(), cause);
    (prop::collection::hash_map(key(), record(calendar), 0..6), prop::collection::vec(ended, 0..3), any::<u64>())
        .prop_map(move |(records, ended, last_ticket)| Sheet {
            records: records.into_iter().collect(),
            ended: ended.iter().map(|(at, id, cause)| (calendar.instant(*at), SessionId(*id), *cause)).collect(),
            last_ticket,
        })
}

/// Everything but the tokens, which `Debug` does not show.
fn shown(sheet: &Sheet) -> String {
    let mut sheet = sheet.clone();
    sheet.records.sort_unstable_by_key(|(key, _)| *key);
    let tokens = sheet.records.iter().flat_map(|(_, record)| &record.tokens).map(|fresh| {
        let access = fresh.tokens.access.as_ref().map(|access| access.token.expose());
        (access, fresh.tokens.refresh_token.expose())
    });
    format!("{sheet:?} {:?}", tokens.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_sheet_comes_back_as_it_was(
        (epoch, sheet) in Just(calendar()).prop_flat_map(|calendar| (Just(calendar), sheet(calendar)))
    ) {
        let bytes = sheet.to_bytes(epoch);
        let back = Sheet::from_bytes(&bytes, epoch).unwrap();
        prop_assert_eq!(shown(&back), shown(&sheet));
        prop_assert_eq!(&*back.to_bytes(epoch), &*bytes);
        // The instant that stands for 1970 is each process's own.
        let elsewhere = Calendar { epoch: epoch.epoch + Duration::from_secs(1234) };
        prop_assert_eq!(&*Sheet::from_bytes(&bytes, elsewhere).unwrap().to_bytes(elsewhere), &*bytes);
    }

    #[test]
    fn what_was_cut_or_belongs_to_another_version_is_not_read(
        (epoch, sheet) in Just(calendar()).prop_flat_map(|calendar| (Just(calendar), sheet(calendar))),
        cut in 0.0..1.0_f64,
    ) {
        let mut bytes = sheet.to_bytes(epoch).to_vec();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a part of a length")]
        let length = (bytes.len() as f64 * cut) as usize;
        prop_assert!(Sheet::from_bytes(&bytes[..length], epoch).is_err());
        for more in [&[0][..], &[1], b"more fields"] {
            let longer = [&bytes[..], more].concat();
            prop_assert_eq!(Sheet::from_bytes(&longer, epoch).err(), Some(Unreadable));
        }
        bytes[0] = LAYOUT + 1;
        prop_assert_eq!(Sheet::from_bytes(&bytes, epoch).err(), Some(Unreadable));
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sheet::from_bytes(&garbage, calendar());
    }
}

/// A chain with everything that a sheet can say.
fn long_chain(calendar: Calendar) -> Sheet {
    let key = |number: u8| RecordKey::of("company", &RefreshToken::new(&format!("refresh-{number}")));
    let term = |since| Term { since: calendar.instant(since), length: Duration::from_secs(3) };
    let troubles = Troubles { in_a_row: 2, answer_lost: true, rest: Some(term(1_000)), nameless: true };
    let fresh = |number: u8, subject: Option<&str>| Fresh {
        tokens: Tokens {
            access: Some(Access {
                token: AccessToken::new(&format!("access-{number}")),
                subject: subject.map(Into::into),
                expires_at: Timestamp(32_503_680_000),
                due_at: Timestamp(32_503_679_970),
            }),
            refresh_token: RefreshToken::new(&format!("refresh-{number}")),
        },
        recorded_at: calendar.instant(2_000),
    };
    let bare = Fresh {
        tokens: Tokens { access: None, refresh_token: RefreshToken::new("refresh-5") },
        recorded_at: calendar.instant(2_001),
    };
    let records = [
        (State::Renewed { successor: key(2), confirmed_at: Some(calendar.instant(1_700_000_000_000)) }, None),
        (State::Renewed { successor: key(3), confirmed_at: None }, Some(fresh(2, Some("alice")))),
        (
            State::InFlight { number: 7, lease: term(1_700_000_000_000), troubles: Troubles::default() },
            Some(fresh(3, None)),
        ),
        (State::Unspent(troubles), Some(bare)),
        (State::Lapsed, None),
        (State::Rejected, None),
    ];
    let records = records.into_iter().zip(1..).map(|((state, tokens), number)| {
        let record = Record {
            session: SessionId([7; 16]),
            state,
            tokens,
            access_tokens: vec![(TokenHash::of("access"), Timestamp(300 + u64::from(number)))],
            predecessor: (number > 1).then(|| key(number - 1)),
            seen: calendar.instant(1_700_000_000_000 + u64::from(number)),
        };
        (key(number), record)
    });
    let causes = [EndCause::SignedOut, EndCause::Reused, EndCause::IdentityChanged];
    let ended =
        causes.into_iter().zip(1..).map(|(cause, n)| (calendar.instant(n), SessionId([8; 16]), cause)).collect();
    Sheet { records: records.collect(), ended, last_ticket: 7 }
}

#[test]
fn a_sheet_is_written_and_read_as_it_was_committed() {
    let calendar = calendar();
    let sheet = long_chain(calendar);
    assert_committed("sheet", "everything", &sheet.to_bytes(calendar));
    let read = Sheet::from_bytes(&committed_bytes("sheet", "everything"), calendar).unwrap();
    assert_eq!(shown(&read), shown(&sheet));
}

#[test]
fn chains_are_written_and_read() {
    let chain = ChainId::beginning_with(&RecordKey::of("company", &RefreshToken::new("token")));
    assert_eq!(ChainId::parse(&chain.to_string()), Some(chain));
    for text in ["", "x", "+0000000000000000000000000000001", &format!("{chain}0")] {
        assert_eq!(ChainId::parse(text), None, "{text}");
    }
}
