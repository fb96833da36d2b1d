//! `usher user list`: the users, for people and for scripts. No hash and no secret is shown.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::commands::source::Output;
use crate::commands::table;
use crate::config::{Cost, User};

const COLUMNS: [&str; 6] = ["user", "subject", "roles", "state", "second factor", "hash"];
/// What the heading of the third column means.
const ROLES: &str = "roles";

/// Writes the list.
pub(super) fn write(users: &[&User], output: Output, out: &mut impl Write) -> io::Result<()> {
    if output == Output::Json {
        return writeln!(out, "{:#}", users.iter().map(|user| document(user)).collect::<Value>());
    }
    let rows: Vec<_> = users.iter().map(|user| cells(user)).collect();
    table::write("", COLUMNS, &rows, out)
}

fn document(user: &User) -> Value {
    json!({
        "name": user.name,
        "subject": user.subject,
        "disabled": user.disabled,
        "totp": user.totp.is_some(),
        "hash": kind(user.password.cost()),
        "claims": user.claims,
    })
}

fn cells(user: &User) -> [String; COLUMNS.len()] {
    [
        user.name.clone(),
        user.subject.clone(),
        user.claims.get(ROLES).map_or_else(|| "-".to_owned(), words),
        if user.disabled { "disabled" } else { "active" }.to_owned(),
        if user.totp.is_some() { "totp" } else { "-" }.to_owned(),
        kind(user.password.cost()).to_owned(),
    ]
}

/// Lists with commas, as identity headers have them.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

const fn kind(cost: Cost) -> &'static str {
    match cost {
        Cost::Argon2id { .. } => "argon2id",
        Cost::Bcrypt { .. } => "bcrypt",
    }
}
