//! `usher schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write};

use crate::config::schema::schema;

/// Prints the schema.
///
/// # Errors
///
/// The output cannot be written: nobody's fault but the reader's, who went away.
pub fn run(out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &schema())?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_json() {
        let mut out = Vec::new();
        run(&mut out).unwrap();
        let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(schema["title"], "Usher configuration");
    }
}
