//! Options as oauth2-proxy takes them: a TOML file, environment variables, or flags, one to a line.
//!
//! Which of them there are, and what they mean, is none of this module's business. Its errors never quote the file, which
//! has secrets in it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

const VARIABLE: &str = "OAUTH2_PROXY_";

/// Flags that are given once for each member of a list, which the file and the environment name in the plural.
const SINGULAR: [&str; 24] = [
    "allowed_group",
    "allowed_role",
    "api_route",
    "cookie_domain",
    "email_domain",
    "entra_id_allowed_tenant",
    "exclude_logging_path",
    "github_user",
    "gitlab_group",
    "gitlab_project",
    "google_group",
    "htpasswd_user_group",
    "keycloak_group",
    "oidc_audience_claim",
    "oidc_enabled_signing_alg",
    "oidc_extra_audience",
    "oidc_public_key_file",
    "provider_ca_file",
    "skip_auth_route",
    "tls_cipher_suite",
    "trusted_ip",
    "trusted_proxy_ip",
    "upstream",
    "whitelist_domain",
];

/// One option and where it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// As in the file of `--config`: with underscores.
    pub(super) name: String,
    /// One, or those of a list.
    pub(super) values: Vec<String>,
    /// Whether each value is one member of a list, in which a comma is no separator.
    pub(super) is_array: bool,
    /// The first line that gives it.
    pub(super) line: usize,
}

/// Why a file is none of these forms.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// The alpha configuration.
    #[error(
        "this is YAML, as alphaConfig is, which is not read: give the options of the --config file or the flags, and write \
         the upstreams and providers of the YAML by hand (examples/migration/oauth2-proxy.md has the table)"
    )]
    Yaml,
    /// Not TOML.
    #[error("line {0}: {1}; put it right, as oauth2-proxy would not read it either")]
    Toml(usize, String),
    /// A line among flags or variables that is none, or has two.
    #[error("line {0} is not one option: write --name=value or OAUTH2_PROXY_NAME=value, each on a line of its own")]
    Line(usize),
    /// Nothing at all.
    #[error("there are no options in it")]
    Empty,
}

/// The options of a file, until they are taken.
#[derive(Debug, Default)]
pub(super) struct Options {
    given: Vec<Given>,
}

impl Options {
    /// Reads any of the forms, told apart by the first line that says something.
    pub(super) fn read(text: &str) -> Result<Self, ReadError> {
        let mut said = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first = said.next().ok_or(ReadError::Empty)?;
        let mut options = Self::default();
        if flag(first).is_some() {
            options.flags(text)?;
        } else if variable(first).is_some() {
            options.environment(text)?;
        } else if first == "---" || first.split_once(':').is_some_and(|(key, _)| !key.contains(['=', '"', ' ', '['])) {
            return Err(ReadError::Yaml);
        } else {
            options.toml(text)?;
        }
        Ok(options)
    }

    /// Takes an option out; `None` when it is not given, or is empty.
    pub(super) fn take(&mut self, name: &str) -> Option<Given> {
        let at = self.given.iter().position(|given| given.name == name)?;
        // An array that has nothing but empty text is not empty.
        let is_given = |given: &Given| given.values.iter().any(|value| given.is_array || !value.is_empty());
        Some(self.given.remove(at)).filter(is_given)
    }

    /// An option that another part takes.
    pub(super) fn peek(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name)
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> Vec<Given> {
        self.given
    }

    fn toml(&mut self, text: &str) -> Result<(), ReadError> {
        let line = |span: &Range<usize>| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
        let table = DeTable::parse(text)
            .map_err(|error| ReadError::Toml(error.span().map_or(1, |span| line(&span)), error.message().to_owned()))?;
        for (name, value) in table.get_ref() {
            let (values, is_array) = match value.get_ref() {
                DeValue::Array(items) => (items.iter().map(|item| plain(item.get_ref())).collect(), true),
                single => (vec![plain(single)], false),
            };
            // Whatever the case: viper, which reads them there, minds none.
            let name_of_option = name.get_ref().to_ascii_lowercase();
            self.given.push(Given { name: name_of_option, values, is_array, line: line(&name.span()) });
        }
        self.given.sort_by_key(|given| given.line);
        Ok(())
    }

    /// Other variables of the same file are another program's.
    fn environment(&mut self, text: &str) -> Result<(), ReadError> {
        for (index, line) in text.lines().enumerate() {
            let (line, named) = (line.trim(), line.matches(VARIABLE).count());
            if named == 0 || line.starts_with('#') {
                continue;
            }
            // What is lost, as the second of two on one line would be, may be what keeps people out.
            let single = variable(line).and_then(|variable| variable.split_once('=')).filter(|_| named == 1);
            let (name, value) = single.ok_or(ReadError::Line(index + 1))?;
            let name = name.trim().to_ascii_lowercase();
            // As to a shell and to Docker, the last assignment is the only one.
            self.given.retain(|given| given.name != name);
            self.add(name, unquoted(value.trim()), index + 1);
        }
        Ok(())
    }

    fn flags(&mut self, text: &str) -> Result<(), ReadError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let flag = flag(line).filter(|flag| !has_flag(flag)).ok_or(ReadError::Line(index + 1))?;
            let (name, value) = flag.split_once(['=', ' ']).unwrap_or((flag, "true"));
            let name = name.replace('-', "_");
            let name = if SINGULAR.contains(&name.as_str()) { format!("{name}s") } else { name };
            self.add(name, unquoted(value.trim()), index + 1);
        }
        Ok(())
    }

    /// A flag that is given again has all of the values.
    fn add(&mut self, name: String, value: &str, line: usize) {
        match self.given.iter_mut().find(|given| given.name == name) {
            Some(given) => given.values.push(value.to_owned()),
            None => self.given.push(Given { name, values: vec![value.to_owned()], is_array: false, line }),
        }
    }
}

impl Given {
    /// The only value, or the last one given.
    pub(super) fn text(&self) -> &str {
        self.values.last().map(String::as_str).unwrap_or_default()
    }

    /// As Go reads a boolean.
    pub(super) fn is_true(&self) -> bool {
        ["1", "t", "T", "true", "TRUE", "True"].contains(&self.text())
    }

    /// The values of a list, which text separates with commas and nothing else: as oauth2-proxy has them, with blanks around
    /// them, and with what is empty. Tidied up, they would let in whom it keeps out.
    pub(super) fn list(&self) -> Vec<&str> {
        let most = if self.is_array { 1 } else { usize::MAX };
        let given = self.values.iter().filter(|value| self.is_array || !value.is_empty());
        given.flat_map(|value| value.splitn(most, ',')).collect()
    }

    /// Where a line of the output comes from.
    pub(super) fn origin(&self) -> String {
        format!("{}, line {}", self.name, self.line)
    }
}

/// A flag without its dashes, as a shell, a list of YAML or of JSON has it.
fn flag(line: &str) -> Option<&str> {
    let line = line.trim_start_matches("- ").trim_end_matches([',', '\\', ' ']);
    unquoted(line.trim()).strip_prefix("--")
}

/// Whether there is another flag in what follows the dashes of one.
fn has_flag(text: &str) -> bool {
    let is_flag = |word: &str| {
        word.strip_prefix("--").is_some_and(|name| name.starts_with(|letter: char| letter.is_ascii_alphabetic()))
    };
    text.split(|letter: char| letter.is_whitespace() || ['"', '\''].contains(&letter)).any(is_flag)
}

/// A variable without what is before its name, as a shell or Docker has it.
fn variable(line: &str) -> Option<&str> {
    line.strip_prefix("export").map_or(line, str::trim_start).strip_prefix(VARIABLE)
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, values: &[&str], is_array: bool, line: usize) -> Given {
        Given { name: name.to_owned(), values: values.iter().map(|&value| value.to_owned()).collect(), is_array, line }
    }

    #[test]
    fn a_file_an_environment_and_flags_say_the_same() {
        let toml = "# a comment\nclient_id = \"app\"\n\nemail_domains = [\n  \"a.test\",\n  \"b.test\"\n]\n";
        let file = Options::read(toml).unwrap();
        let domains = &["a.test", "b.test"];
        assert_eq!(file.given, [given("client_id", &["app"], false, 2), given("email_domains", domains, true, 4)]);
        let variables = "export OAUTH2_PROXY_CLIENT_ID='app'\nHOME=/x\nOAUTH2_PROXY_EMAIL_DOMAINS=a.test,b.test\n";
        let environment = Options::read(variables).unwrap();
        assert_eq!(environment.given[1].list(), ["a.test", "b.test"]);
        assert_eq!(environment.given[0], given("client_id", &["app"], false, 1));
        let again = Options::read(&format!("OAUTH2_PROXY_EMAIL_DOMAINS=*\n{variables}")).unwrap();
        assert_eq!(again.given[1].list(), ["a.test", "b.test"]);
        let flags = Options::read("- --client-id=app\n- \"--email-domain=a.test\"\n- --email-domain b.test\n").unwrap();
        assert_eq!(flags.given, [given("client_id", &["app"], false, 1), given("email_domains", domains, false, 2)]);
    }

    /// A pattern with a comma in it would else become two, which match more.
    #[test]
    fn a_comma_separates_in_text_and_not_in_a_list() {
        let options = Options::read("a = [\"x,y\", \"z\"]\nb = \"x, y\"\n").unwrap();
        assert_eq!(options.given[0].list(), ["x,y", "z"]);
        assert_eq!(options.given[1].list(), ["x", " y"]);
    }

    /// What is lost would be a condition, mostly.
    #[test]
    fn no_option_is_lost_in_another_one_nor_for_its_case() {
        for two in [
            "--a=1\n--silence-ping-logging --allowed-group=staff",
            "--a=\"1\" --b=\"2\"\n",
            "\"--a=1\" \"--allowed-group=staff\"",
            "\"--a=1\", \"--allowed-group=staff\",",
            "--a=1\t--allowed-group=staff",
        ] {
            assert!(matches!(Options::read(two), Err(ReadError::Line(_))), "{two}");
        }
        let two = "OAUTH2_PROXY_A=1\nexport OAUTH2_PROXY_B=2 OAUTH2_PROXY_ALLOWED_GROUPS=staff\n";
        assert_eq!(Options::read(two).unwrap_err(), ReadError::Line(2));
        for other in
            ["OAUTH2_PROXY_B: 2", "B=2 OAUTH2_PROXY_C=3", "export \"OAUTH2_PROXY_B=2\"", "B=2\tOAUTH2_PROXY_C=3"]
        {
            let read = Options::read(&format!("OAUTH2_PROXY_A=1\n{other}\n"));
            assert_eq!(read.unwrap_err(), ReadError::Line(2), "{other}");
        }
        let exported =
            Options::read("# OAUTH2_PROXY_A=0\nexport  OAUTH2_PROXY_A=1\nX=y\nexport\tOAUTH2_PROXY_B=2\n").unwrap();
        assert_eq!(exported.given, [given("a", &["1"], false, 2), given("b", &["2"], false, 4)]);
        let options = Options::read("Allowed_Groups = [\"staff\"]\n").unwrap();
        assert_eq!(options.given, [given("allowed_groups", &["staff"], true, 1)]);
    }

    #[test]
    fn a_list_has_what_is_empty_where_it_is_not_text() {
        let mut options = Options::read("a = [\"\"]\nb = \"\"\nc = []\nd = \"x,,y\"\n").unwrap();
        assert_eq!(options.take("a").unwrap().list(), [""]);
        assert!(options.take("b").is_none() && options.take("c").is_none());
        assert_eq!(options.take("d").unwrap().list(), ["x", "", "y"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_quoting_it() {
        let broken = Options::read("client_id = \"a\"\nclient_secret = \"canary\n").unwrap_err();
        assert!(matches!(broken, ReadError::Toml(2, _)), "{broken}");
        assert!(!broken.to_string().contains("canary"));
        assert_eq!(Options::read("upstreamConfig:\n  upstreams: []\n").unwrap_err(), ReadError::Yaml);
        assert_eq!(Options::read("--client-id=a\nclient-secret=canary\n").unwrap_err(), ReadError::Line(2));
        assert_eq!(Options::read("# nothing\n").unwrap_err(), ReadError::Empty);
    }
}
