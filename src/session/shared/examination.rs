//! What the servers say they are, for whoever looks for what is wrong with them: read from `INFO`, of which most is left alone.

use redis::Value;

/// What they say. Empty where they may not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// One for each server that has answered.
    pub servers: Vec<Description>,
}

/// What one server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its version.
    pub version: String,
    /// `master`, or `slave` of a replica.
    pub role: String,
    /// What it forgets when it is full: `noeviction` forgets nothing.
    pub eviction: String,
    /// Bytes from which on it is full; zero: never.
    pub limit: u64,
}

impl Examination {
    pub(super) fn of(answer: &Value) -> Self {
        let mut servers = Vec::new();
        read(answer, &mut servers);
        Self { servers }
    }
}

/// One text of one server, or a map with one for each.
fn read(answer: &Value, servers: &mut Vec<Description>) {
    match answer {
        Value::BulkString(bytes) => servers.push(Description::of(&String::from_utf8_lossy(bytes))),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => servers.push(Description::of(text)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, answer)| read(answer, servers)),
        Value::Array(answers) => answers.iter().for_each(|answer| read(answer, servers)),
        _ => {}
    }
}

impl Description {
    fn of(text: &str) -> Self {
        let field = |wanted: &str| {
            let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
            fields.into_iter().find_map(|(name, value)| (name == wanted).then(|| value.to_owned())).unwrap_or_default()
        };
        // Valkey says for how old a Redis it passes under the same name.
        let version = Some(field("valkey_version")).filter(|version| !version.is_empty());
        Self {
            version: version.unwrap_or_else(|| field("redis_version")),
            role: field("role"),
            eviction: field("maxmemory_policy"),
            limit: field("maxmemory").parse().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory:1048576\r\n\
        maxmemory_policy:allkeys-lru\r\n# Replication\r\nrole:master\r\n";

    #[test]
    fn one_server_and_each_of_many_are_read_alike() {
        let one = Value::BulkString(TEXT.into());
        let found = Examination::of(&one);
        let expected = Description {
            version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            eviction: "allkeys-lru".to_owned(),
            limit: 1 << 20,
        };
        assert_eq!(found.servers, std::slice::from_ref(&expected));
        let many = Value::Map(vec![(Value::Nil, one.clone()), (Value::Nil, one)]);
        assert_eq!(Examination::of(&many).servers, [expected.clone(), expected]);
        assert_eq!(Examination::of(&Value::Okay).servers, []);
    }
}
