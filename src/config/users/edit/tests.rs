use super::*;

const FILE: &str = "# Who may sign in.
users:
  # The boss.
  alice:
    password: $2b$10$old   # of 2024
    name: Alice
  \"b c\":
    disabled: false # for now
    password: \"old\"
  dora: { password: 'old', email: d@example.com }   # in braces
";

fn with_hash(hash: &str) -> NewUser<'_> {
    NewUser { hash: Some(hash), ..NewUser::default() }
}

fn lines_that_differ(edited: &str) -> Vec<String> {
    let old: Vec<_> = FILE.lines().collect();
    edited.lines().filter(|line| !old.contains(line)).map(str::to_owned).collect()
}

#[test]
fn one_line_changes_and_everything_else_stays() {
    for (user, change, line) in [
        ("alice", Change::Password("$2b$new"), "    password: '$2b$new'   # of 2024"),
        ("b c", Change::Password("$2b$new"), "    password: '$2b$new'"),
        ("dora", Change::Password("$2b$a,b"), "  dora: { password: '$2b$a,b', email: d@example.com }   # in braces"),
        ("b c", Change::Disabled(true), "    disabled: true # for now"),
        ("alice", Change::Disabled(true), "    disabled: true"),
    ] {
        let edited = edit(FILE, user, &change).unwrap();
        assert_eq!(lines_that_differ(&edited), [line], "{user} {change:?}");
        assert_eq!(edited.lines().count() - FILE.lines().count(), usize::from(line.trim() == "disabled: true"));
    }
}

#[test]
fn a_new_user_comes_last_and_begins_a_file_that_is_empty() {
    let edited = edit(FILE, "eve@example.com", &Change::Add(&with_hash("$2b$new"))).unwrap();
    assert_eq!(edited, format!("{FILE}  eve@example.com:\n    password: '$2b$new'\n"));
    for (text, user, expected) in [
        ("", "a", "users:\n  a:\n    password: 'h'\n"),
        ("# nobody yet", "a", "# nobody yet\nusers:\n  a:\n    password: 'h'\n"),
        ("users:\n", "007", "users:\n  \"007\":\n    password: 'h'\n"),
        (
            "users:\n    b: { password: x }\n",
            "No",
            "users:\n    b: { password: x }\n    \"No\":\n        password: 'h'\n",
        ),
        ("users:\n  b:\n    password: x", "ü: #", "users:\n  b:\n    password: x\n  \"ü: #\":\n    password: 'h'\n"),
    ] {
        assert_eq!(edit(text, user, &Change::Add(&with_hash("h"))).as_deref(), Ok(expected));
    }
}

#[test]
fn what_cannot_be_changed_like_this_is_left_alone_and_says_what_to_write() {
    let by_hand = |text, user, change: &Change<'_>| matches!(edit(text, user, change), Err(EditError::ByHand(_)));
    assert!(by_hand(FILE, "dora", &Change::Disabled(true)));
    assert!(by_hand("users: {}\n", "a", &Change::Add(&with_hash("h"))));
    assert!(by_hand("{ users: { a: { password: x } } }\n", "b", &Change::Add(&with_hash("h"))));
    assert!(by_hand("users:\n  a:\n    password: >-\n      folded\n", "a", &Change::Password("h")));
    assert!(by_hand("users:\n  a: &a\n    password: x\n  b: *a\n", "b", &Change::Password("h")));
    let message = edit(FILE, "dora", &Change::Disabled(true)).unwrap_err().to_string();
    assert!(message.ends_with("disabled: true"), "{message}");
}

#[test]
fn what_is_said_of_a_user_changes_and_what_is_not_stays() {
    let said = |name: Option<&'static str>, claims: Json| NewUser {
        name,
        claims: claims.as_object().unwrap().clone(),
        ..NewUser::default()
    };
    let none = || serde_json::json!({});
    let set = |text: &str, user: &str, new: &NewUser<'_>| edit(text, user, &Change::Set(new));
    let first = set(FILE, "alice", &said(Some("Alice O'Neil"), serde_json::json!({ "roles": ["admin"] }))).unwrap();
    assert_eq!(lines_that_differ(&first), ["    claims: { roles: [admin] }", "    name: \"Alice O'Neil\""]);
    let noted = first.replace("[admin] }", "[admin] }  # by Bob");
    let second = set(&noted, "alice", &said(None, serde_json::json!({ "level": 3, "team": "#1" }))).unwrap();
    assert_eq!(second, noted.replace("{ roles", "{ level: 3, roles").replace("[admin] }", "[admin], team: \"#1\" }"));
    let third = set(&noted, "alice", &said(None, serde_json::json!({ "roles": null, "level": 3 }))).unwrap();
    assert_eq!(third, noted.replace("roles: [admin]", "level: 3"));
    assert_eq!(set(FILE, "b c", &said(Some("B"), none())).unwrap().matches("    name: B\n").count(), 1);
    assert_eq!(set(FILE, "eve", &said(Some("E"), none())), Err(EditError::Unknown));
    // Claims on lines of their own have comments of their own.
    let block = "users:\n  a:\n    password: x\n    claims:\n      roles: [admin] # why\n";
    let message = set(block, "a", &said(None, serde_json::json!({ "level": 3 }))).unwrap_err().to_string();
    assert!(message.ends_with("write claims: { level: 3 }"), "{message}");
    let braces = "users:\n  a: { password: x, claims: { b: 1, c: 2 } }\n";
    assert!(matches!(set(braces, "a", &said(None, serde_json::json!({ "d": 3 }))), Err(EditError::ByHand(_))));
}

#[test]
fn a_user_goes_with_what_is_said_of_them_and_nobody_else() {
    let without = |user: &str| edit(FILE, user, &Change::Remove).unwrap();
    let gone = |from: &str, until: &str| {
        let (before, rest) = FILE.split_once(from).unwrap();
        let after = rest.split_once(until).map(|(_, after)| format!("{until}{after}"));
        format!("{before}{}", after.unwrap_or_default())
    };
    assert_eq!(without("alice"), gone("  # The boss.", "  \"b c\""));
    assert_eq!(without("b c"), gone("  \"b c\"", "  dora"));
    assert_eq!(without("dora"), gone("  dora", "nothing"));
    // What is indented like the next user is about the next user; what is set apart is about nobody.
    let text = "users:\n  # All of us.\n\n  # A.\n  a:\n    password: x\n    # totp: y\n\n    # deep\n\n  # B.\n  b: { password: x,\n    name: B }\n\n# The end.\n";
    assert_eq!(
        edit(text, "a", &Change::Remove).unwrap(),
        "users:\n  # All of us.\n\n\n  # B.\n  b: { password: x,\n    name: B }\n\n# The end.\n"
    );
    assert_eq!(
        edit(text, "b", &Change::Remove).unwrap(),
        "users:\n  # All of us.\n\n  # A.\n  a:\n    password: x\n    # totp: y\n\n    # deep\n\n\n# The end.\n"
    );
    assert_eq!(edit("users:\n  a: { password: x }\n", "a", &Change::Remove), Err(EditError::Last));
    assert_eq!(edit(FILE, "Alice", &Change::Remove), Err(EditError::Spelling("alice".to_owned())));
    assert_eq!(edit(FILE, "eve", &Change::Remove), Err(EditError::Unknown));
    for by_hand in
        ["users: { a: { password: x }, b: { password: x } }\n", "users:\n  b: &b\n    password: x\n  a: *b\n"]
    {
        assert!(matches!(edit(by_hand, "b", &Change::Remove), Err(EditError::ByHand(_))), "{by_hand}");
    }
}

#[test]
fn users_must_be_there_to_be_changed_and_not_to_be_added() {
    assert_eq!(edit(FILE, "alice", &Change::Add(&with_hash("h"))), Err(EditError::Known));
    assert_eq!(edit(FILE, "Alice", &Change::Add(&with_hash("h"))), Err(EditError::Twin("alice".to_owned())));
    assert_eq!(edit(FILE, "Alice", &Change::Password("h")), Err(EditError::Spelling("alice".to_owned())));
    assert_eq!(edit(FILE, "alicia", &Change::Password("h")), Err(EditError::Unknown));
    for text in ["alice:\n  password: h\n", "- alice\n", "users:\n  a: { password: h }\nb: { password: h }\n"] {
        assert_eq!(edit(text, "eve", &Change::Add(&with_hash("h"))), Err(EditError::NoUsers), "{text}");
    }
    assert_eq!(edit("", "alice", &Change::Disabled(true)), Err(EditError::Unknown));
    assert_eq!(edit("users: [", "alice", &Change::Disabled(true)), Err(EditError::Unreadable));
}

#[test]
fn a_new_user_has_what_is_said_of_it_and_says_it_as_people_write() {
    let claims = serde_json::json!({
        "roles": ["admin", "yes", "a b"], "level": 3, "deep": { "n": -1.5, "007": [] }, "x: y": "# \"z\"",
    });
    let new = NewUser {
        hash: Some("$2b$h"),
        name: Some("Eve O'Neil"),
        email: Some("eve@example.com"),
        subject: Some("007"),
        claims: claims.as_object().unwrap().clone(),
    };
    let edited = edit(FILE, "eve", &Change::Add(&new)).unwrap();
    let expected = "  eve:
    password: '$2b$h'
    name: \"Eve O'Neil\"
    email: eve@example.com
    subject: \"007\"
    claims: { deep: { \"007\": [], n: -1.5 }, level: 3, roles: [admin, \"yes\", a b], \"x: y\": \"# \\\"z\\\"\" }
";
    assert_eq!(edited.strip_prefix(FILE), Some(expected));
}

#[test]
fn a_second_factor_comes_changes_and_goes_on_one_line() {
    let with = edit(FILE, "alice", &Change::Totp("GEZD")).unwrap();
    assert_eq!(lines_that_differ(&with), ["    totp: 'GEZD'"]);
    let other = edit(&with, "alice", &Change::Totp("2345")).unwrap();
    assert_eq!(lines_that_differ(&other), ["    totp: '2345'"]);
    assert_eq!(edit(&other, "alice", &Change::NoTotp).as_deref(), Ok(FILE));
    assert_eq!(edit(FILE, "alice", &Change::NoTotp), Err(EditError::NoTotp));
    let in_braces = "users:\n  a: { password: x, totp: 'GEZD' }\n";
    assert_eq!(edit(in_braces, "a", &Change::NoTotp), Err(EditError::ByHand("take out totp".to_owned())));
    let changed = edit(in_braces, "a", &Change::Totp("2345")).unwrap();
    assert_eq!(changed, in_braces.replace("GEZD", "2345"));
    let folded = "users:\n  a:\n    password: x\n    totp:\n      GEZD\n";
    assert!(matches!(edit(folded, "a", &Change::NoTotp), Err(EditError::ByHand(_))));
}
