//! `usher user totp`: a new secret, and the only time that it is shown: as the address that authenticator apps take, and as a
//! QR code of it.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Color, Style};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use zeroize::Zeroizing;

use super::file::UsersFile;
use super::{NewValue, change_user, read};
use crate::commands::Failure;
use crate::config::FoldedName;
use crate::issuer::local::new_totp_secret;

/// What does not stand for itself in an address (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Cameras take a code that is dark on a light ground, whatever the terminal looks like.
const PAPER: Style =
    Style::new().fg_color(Some(Color::Ansi(AnsiColor::Black))).bg_color(Some(Color::Ansi(AnsiColor::BrightWhite)));

/// Gives somebody a second factor, and shows it the only time.
pub(super) fn give(path: PathBuf, place: &str, name: &str, yes: bool, out: &mut impl Write) -> Result<(), Failure> {
    let file = UsersFile::read(path.clone()).map_err(Failure::configuration)?;
    // Without leave it is refused when the file is changed: by then there may be one that is not there yet.
    let replaces = yes || is_there(&file, name) && may_replace(name).map_err(Failure::world)?;
    let secret = new_totp_secret().map_err(Failure::world)?;
    let change = NewValue::Totp { secret: &secret, replaces };
    let file = change_user(path, name, change, || Ok(String::new()))?;
    writeln!(out, "{name}: {}, in {}", change.done(), file.path().display())?;
    let address = address(place, name, &secret);
    writeln!(out, "For the authenticator app, which calls it {place}; it is not shown again:\n\n{}\n", *address)?;
    if io::stdout().is_terminal() {
        picture(&address, out)?;
    }
    Ok(())
}

/// Whether the user has a second factor.
pub(super) fn is_there(file: &UsersFile, name: &str) -> bool {
    let (users, _) = read(file, file.text());
    users.find(&FoldedName::of(name)).is_some_and(|user| user.name == name && user.totp.is_some())
}

/// Whether somebody at the terminal wants the second factor that is there to be replaced. Without a terminal nobody does.
fn may_replace(name: &str) -> io::Result<bool> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Ok(false);
    }
    eprint!("{name} has a second factor. Replace it? The app of before is worth nothing then. [y/N] ");
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The address of a secret. `label` is what the app calls the place.
fn address(label: &str, name: &str, secret: &str) -> Zeroizing<String> {
    let [label, name] = [label, name].map(|text| utf8_percent_encode(text, ENCODED));
    // What apps take for granted is said for those that do not.
    Zeroizing::new(format!(
        "otpauth://totp/{label}:{name}?secret={secret}&issuer={label}&algorithm=SHA1&digits=6&period=30"
    ))
}

/// The same for the camera of a phone, where somebody looks. An address that is too long for that is typed.
fn picture(address: &str, out: &mut impl Write) -> io::Result<()> {
    let Ok(code) = QrCode::new(address) else { return Ok(()) };
    let picture = Zeroizing::new(code.render::<Dense1x2>().build());
    picture.lines().try_for_each(|line| writeln!(out, "{PAPER}{line}{PAPER:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_apps_read_however_odd_the_names() {
        let shown = address("app.test", "alice", "GEZD");
        let rest = "?secret=GEZD&issuer=app.test&algorithm=SHA1&digits=6&period=30";
        assert_eq!(*shown, format!("otpauth://totp/app.test:alice{rest}"));
        let odd = address("a:b & c", "ü/?#@x", "GEZD");
        assert!(
            odd.starts_with("otpauth://totp/a%3Ab%20%26%20c:%C3%BC%2F%3F%23%40x?secret=GEZD&issuer=a%3Ab%20%26%20c&")
        );
    }

    #[test]
    fn a_picture_has_as_many_lines_as_half_its_dots_and_one_that_is_too_long_none() {
        let mut out = Vec::new();
        picture(&address("app.test", "alice", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), &mut out).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| width.div_ceil(2) == widths.len()), "{widths:?}");
        out.clear();
        picture(&"x".repeat(4_000), &mut out).unwrap();
        assert!(out.is_empty());
    }
}
