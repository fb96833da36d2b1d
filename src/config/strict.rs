//! Reads merged values more strictly than serde and figment do by themselves: a map of keys is never taken from a list
//! (serde would count off its fields), a word never from a number, and nothing never counts as absent.

use std::collections::btree_map;
use std::{iter, slice};

use figment::Error;
use figment::value::Value;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

/// A value to read. Errors carry the path to what they are about, unknown keys included.
#[derive(Clone, Copy)]
pub(super) struct Strict<'v>(pub(super) &'v Value);

impl<'de> Deserializer<'de> for Strict<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Dict(_, entries) => visitor.visit_map(Entries { rest: entries.iter(), current: None }),
            Value::Array(_, items) => visitor.visit_seq(Items { rest: items.iter().enumerate() }),
            single => single.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(..) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(_, word) => visitor.visit_enum(word.as_str().into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Entries<'v> {
    rest: btree_map::Iter<'v, String, Value>,
    current: Option<(&'v String, &'v Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let text: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|error| inside(key, error))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.current.take() {
            Some((key, value)) => seed.deserialize(Strict(value)).map_err(|error| inside(key, error)),
            None => Err(Error::custom("a value was asked for before its key")),
        }
    }
}

struct Items<'v> {
    rest: iter::Enumerate<slice::Iter<'v, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, item)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Strict(item)).map(Some).map_err(|error| inside(&index.to_string(), error))
    }
}

fn inside(step: &str, mut error: Error) -> Error {
    error.path.insert(0, step.to_owned());
    error
}
