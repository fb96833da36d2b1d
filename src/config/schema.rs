//! The JSON Schema of the configuration file, for editors.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::file::File;

/// The schema, in the draft that editors understand best (draft 7).
#[must_use]
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft07().with_transform(NoNulls);
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<File>();
    schema.insert("title".to_owned(), Value::from("Usher configuration"));
    schema
}

/// Takes `null` out: a key that may be left out must still have a value when it is there.
#[derive(Clone, Debug)]
struct NoNulls;

impl Transform for NoNulls {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        }
        transform_subschemas(self, schema);
    }
}
