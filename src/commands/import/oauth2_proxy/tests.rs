use super::*;

fn converted(text: &str) -> (String, String) {
    let emails = |path: &str| match path {
        "emails" => Ok(vec!["a@x.test".to_owned(), "b@x.test".to_owned()]),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let (yaml, notes) = convert(Options::read(text).unwrap(), None, &emails).unwrap();
    (yaml, notes.told())
}

const BASE: &str = "
provider = \"oidc\"
oidc_issuer_url = \"https://id.example.com\"
client_id = \"app\"
client_secret = \"canary-client\"
cookie_secret = \"canary-cookie\"
redirect_url = \"https://app.example.com/oauth2/callback\"
email_domains = [\"*\"]
upstreams = [\"http://127.0.0.1:8080/\"]
";

fn with(more: &str) -> (String, String) {
    converted(&format!("{BASE}{more}"))
}

/// What a line of the output says, without its comment and its place.
fn lines(yaml: &str) -> Vec<&str> {
    yaml.lines().map(|line| line.split("  #").next().unwrap_or(line).trim()).collect()
}

#[test]
fn secrets_are_named_and_never_copied() {
    let redis = "session_store_type = \"redis\"\nredis_connection_url = \"redis://u:canary-url@redis:6379/1\"\n\
                 basic_auth_password = \"canary-basic\"\nsignature_key = \"sha1:canary-key\"\nupstreams_ = \"canary-unknown\"\n";
    let (yaml, told) = with(redis);
    assert!(!yaml.contains("canary") && !told.contains("canary"), "{yaml}{told}");
    let lines = lines(&yaml);
    for line in [
        "client_secret_file: /run/secrets/usher_client",
        "secret_file: /run/secrets/usher_session",
        "url: [\"redis://u@redis:6379/1\"]",
        "password_file: /run/secrets/usher_redis",
    ] {
        assert!(lines.contains(&line), "{line} in {yaml}");
    }
    assert!(yaml.contains("# client_secret, line 5"), "{yaml}");
    assert!(told.contains("put the secret of the client, line 5, into /run/secrets/usher_client"), "{told}");
}

#[test]
fn open_paths_are_no_wider_than_they_were() {
    let (yaml, told) =
        with("skip_auth_routes = [\"GET=^/probe$\", \"^/static/\", \"^/docs\", \"!=^/x\", \"\\\\.css$\", \"^/\"]\n");
    let lines = lines(&yaml);
    for line in [
        "- { path: /probe, methods: [\"GET\"], access: public }",
        "- { path: /probe, methods: [HEAD] }",
        "- { path: /probe }",
        "- { path: /static }",
        "- { path: /static/, access: public }",
        "- { path: /docs/, access: public }",
    ] {
        assert!(lines.contains(&line), "{line} in {yaml}");
    }
    assert_eq!(yaml.matches("access: public").count(), 3, "{yaml}");
    for refused in ["!=^/x opens everything else", "\\.css$ does not begin with /", "^/ would be everything"] {
        assert!(told.contains(refused), "{refused} in {told}");
    }
    assert!(told.contains("^/docs matches more than /docs/"), "{told}");
    // It looks at such paths no longer, and they are open here.
    let encoded = "open paths that end in a slash: ";
    assert!(told.contains(encoded) && !with("skip_auth_routes = [\"^/probe$\"]\n").1.contains(encoded), "{told}");
}

#[test]
fn whoever_cannot_be_told_apart_is_kept_out() {
    let of = |domains: &str, more: &str| {
        let text = BASE.replace("email_domains = [\"*\"]", domains);
        converted(&format!("{text}{more}"))
    };
    let require = |yaml: &str, line: &str| assert!(lines(yaml).contains(&line), "{line} in {yaml}");
    let (yaml, told) = of("email_domains = [\"x.test\"]", "");
    require(&yaml, "\"email\": { domain: [\"x.test\"] }");
    assert!(!told.contains("email_domains"), "{told}");
    require(&of("", "").0, "\"email\": { any: [\"nobody@usher.invalid\"] }");
    require(&of("", "authenticated_emails_file = \"emails\"").0, "\"email\": { any: [\"a@x.test\", \"b@x.test\"] }");
    let claim = "oidc_email_claim = \"upn\"\nauthenticated_emails_file = ";
    require(&of("", &format!("{claim}\"emails\"")).0, "\"upn\": { any: [\"a@x.test\", \"b@x.test\"] }");
    require(&of("", &format!("{claim}\"gone\"")).0, "\"upn\": { any: [\"nobody@usher.invalid\"] }");
    let (yaml, told) = with("gitlab_projects = [\"corp/secret=40\"]\n");
    require(&yaml, "\"groups_direct\": { any: [\"nobody@usher.invalid\"] }");
    assert!(told.contains("gitlab_projects: projects are in no token: nobody is let in"), "{told}");
    let (yaml, told) = with("gitlab_projects = [\"corp/secret=40\"]\nallowed_groups = [\"a\"]\n");
    assert!(!yaml.contains("groups_direct") && told.contains("the groups decide alone"), "{yaml}{told}");
    let (yaml, told) = with("");
    require(
        &yaml,
        "\"email_verified\": { none: [false, 0, \"false\", \"False\", \"FALSE\", \"f\", \"F\", \"no\", \"No\", \"NO\", \"0\", \"\"] }",
    );
    assert!(told.contains("people without an address: oauth2-proxy refuses"), "{told}");
    require(&of("", "authenticated_emails_file = \"gone\"").0, "\"email\": { any: [\"nobody@usher.invalid\"] }");
    let everybody = of("email_domains = \"*\"", "authenticated_emails_file = \"emails\"").0;
    assert!(!everybody.contains("\"email\":"), "{everybody}");
    let (yaml, told) = with("allowed_groups = [\"a\", \"b\"]\noidc_groups_claim = \"realm.groups\"\n");
    require(&yaml, "\"realm.groups\": { any: [\"a\", \"b\"] }");
    assert!(!told.contains("allowed_groups"), "{told}");
}

/// A template that was given no value, and a list that was typed by hand.
#[test]
fn what_is_empty_or_has_blanks_lets_in_nobody_more() {
    let require = |yaml: &str, line: &str| assert!(lines(yaml).contains(&line), "{line} in {yaml}");
    let keycloak = BASE.replace("\"oidc\"", "\"keycloak-oidc\"");
    require(&converted(&format!("{keycloak}allowed_roles = [\"\"]\n")).0, "\"realm_access.roles\": { any: [\"\"] }");
    require(&with("gitlab_projects = [\"\"]\n").0, "\"groups_direct\": { any: [\"nobody@usher.invalid\"] }");
    require(&with("allowed_groups = \"a, b\"\n").0, "\"groups\": { any: [\"a\", \" b\"] }");
    let text = BASE.replace("[\"*\"]", "\"x.test, *\"");
    require(&converted(&text).0, "\"email\": { domain: [\"x.test\"] }");
    // Groups without a name it passes over.
    assert!(!with("allowed_groups = [\"\"]\n").0.contains("groups\": {"));
    require(&with("allowed_groups = [\"\", \"a\"]\n").0, "\"groups\": { any: [\"a\"] }");
}

#[test]
fn domains_are_those_that_they_were() {
    let of = |domains: &str, more: &str| converted(&format!("{}{more}", BASE.replace("[\"*\"]", domains)));
    let require = |yaml: &str, line: &str| assert!(lines(yaml).contains(&line), "{line} in {yaml}");
    let (yaml, told) = of("[\"X.test\", \".corp.test\", \"*.y.test\"]", "");
    require(&yaml, "\"email\": { domain: [\"x.test\", \".corp.test\", \".y.test\"] }");
    assert!(yaml.contains("\"email_verified\": { none: [false, ") && !told.contains("email_domains"), "{yaml}{told}");
    // What is none lets in nobody there: made one, it would here.
    for wrong in ["*z.test", "x.test.", "bücher.test", "@x.test", "", " x.test"] {
        let (yaml, told) = of(&format!("[\"{wrong}\"]"), "");
        require(&yaml, "\"email\": { any: [\"nobody@usher.invalid\"] }");
        assert!(told.contains(&format!("email_domains: {wrong:?} is no domain")), "{told}");
    }
    let claim = "oidc_email_claim = \"upn\"\n";
    require(&of("[\"x.test\"]", claim).0, "\"upn\": { domain: [\"x.test\"] }");
    // Said otherwise, an address would have to be verified.
    let unverified = "insecure_oidc_allow_unverified_email = true\n";
    let whatever = "\"email_verified\": { none: [\"not looked at\"] }";
    require(&of("[\"x.test\"]", unverified).0, whatever);
    assert!(!of("[\"x.test\"]", &format!("{unverified}{claim}")).0.contains("email_verified"));
    assert!(!of("[\"*\"]", unverified).0.contains("email_verified"));
    let google = BASE.replace("\"oidc\"", "\"google\"").replace("[\"*\"]", "[\"x.test\"]");
    let (yaml, _) = converted(&format!("{google}{unverified}"));
    require(&yaml, "\"email\": { domain: [\"x.test\"] }");
    assert!(yaml.contains("\"email_verified\": { none: [false, ") && !yaml.contains("\"hd\""), "{yaml}");
}

#[test]
fn addresses_are_looked_at_where_they_were() {
    let verified = |text: &str| converted(text).0.contains("\"email_verified\": { none: [false, ");
    let kind =
        |kind: &str, more: &str| verified(&format!("{}{more}\n", BASE.replace("\"oidc\"", &format!("{kind:?}"))));
    let (unverified, upn) = ("insecure_oidc_allow_unverified_email = true", "oidc_email_claim = \"upn\"");
    assert!(kind("oidc", "") && !kind("oidc", unverified) && !kind("oidc", upn));
    assert!(kind("gitlab", upn) && !kind("gitlab", unverified));
    assert!(kind("google", unverified) && kind("google", upn));
    // The older name of the option, which the other one overrides.
    for (options, claim) in [
        ("user_id_claim = \"upn\"", "upn"),
        ("user_id_claim = \"upn\"\noidc_email_claim = \"email\"", "upn"),
        ("user_id_claim = \"upn\"\noidc_email_claim = \"mail\"", "mail"),
        ("user_id_claim = \"email\"", "email"),
    ] {
        let text = BASE.replace("email_domains = [\"*\"]", "authenticated_emails_file = \"emails\"");
        let (yaml, told) = converted(&format!("{text}{options}\n"));
        for line in
            [format!("{claim:?}: {{ any: [\"a@x.test\", \"b@x.test\"] }}"), format!("X-Forwarded-Email: {claim:?}")]
        {
            assert!(lines(&yaml).contains(&&*line), "{line} in {yaml}");
        }
        assert!(!told.contains("user_id_claim"), "{told}");
    }
}

#[test]
fn proxies_are_believed_where_they_were() {
    let tls = |more: &str| with(&format!("tls_cert_file = \"a\"\ntls_key_file = \"b\"\n{more}"));
    let (given, behind) = ("trusted_proxy_ips = [\"10.0.0.0/8\"]\n", "reverse_proxy = true\n");
    let (yaml, told) = tls(given);
    assert!(!yaml.contains("\ntrusted_proxies") && told.contains("counts with reverse_proxy only"), "{yaml}");
    assert!(lines(&tls(&format!("{given}{behind}")).0).contains(&"trusted_proxies: [\"10.0.0.0/8\"]"));
    assert!(tls(behind).1.contains("write the network of the proxy") && !tls("").0.contains("\ntrusted_proxies"));
}

#[test]
fn what_is_not_given_is_what_it_was() {
    let has = |(yaml, _): (String, String), line: &str| lines(&yaml).contains(&line);
    let groups = "scopes: [\"openid\", \"email\", \"profile\", \"groups\"]";
    assert!(has(with("allowed_groups = [\"a\"]\n"), groups) && !has(with("allowed_groups = [\"\"]\n"), groups));
    assert!(!has(with("allowed_groups = [\"a\"]\nscope = \"openid\"\n"), groups) && !has(with(""), groups));
    // Two options pass who it is, and each of them does.
    let headers = "X-Forwarded-User: \"sub\"";
    let (basic, user) = ("pass_basic_auth = false\n", "pass_user_headers = false\n");
    assert!(has(with(user), headers) && has(with(basic), headers) && !has(with(&format!("{basic}{user}")), headers));

    let told = |more: &str| with(more).1;
    let userinfo = "are not fetched from the provider's userinfo endpoint";
    assert!(told("").contains(userinfo) && !told("skip_claims_from_profile_url = true\n").contains(userinfo));
    let asked = BASE.replace("http://127.0.0.1:8080/", "static://202");
    let query = "write allowed_groups=, allowed_emails= and allowed_email_domains=";
    assert!(converted(&asked).1.contains(query) && !told("").contains(query));
}

#[test]
fn roles_of_keycloak_are_those_of_the_access_token() {
    let text = BASE.replace("\"oidc\"", "\"keycloak-oidc\"");
    let (yaml, told) = converted(&format!("{text}allowed_roles = [\"admin\", \"app:editor\"]\n"));
    assert!(lines(&yaml).contains(&"\"realm_access.roles\": { any: [\"admin\"] }"), "{yaml}");
    assert!(lines(&yaml).contains(&"audiences: [\"app\"]") && !yaml.contains("identity: id_token"), "{yaml}");
    assert!(told.contains("different claims here"), "{told}");
}

#[test]
fn where_there_is_no_way_nothing_is_written() {
    let no_way = |text: &str| convert(Options::read(text).unwrap(), None, &|_| Ok(Vec::new())).unwrap_err().to_string();
    assert!(no_way("provider = \"github\"\nclient_id = \"a\"").contains("Dex"));
    assert!(no_way("provider = \"oidc\"\nclient_id = \"a\"").contains("oidc_issuer_url"));
    assert!(no_way("provider = \"azure\"\nazure_tenant = \"common\"\nclient_id = \"a\"").contains("all tenants"));
    assert!(no_way("provider = \"google\"").contains("client_id"));
}

#[test]
fn each_path_goes_to_the_application_that_had_it() {
    let text = BASE.replace(
        "upstreams = [\"http://127.0.0.1:8080/\"]",
        "upstreams = [\"http://web:1/\", \"http://api:2/api/\", \"http://one:3/one\", \"file:///var/www/#/files/\"]\n\
         skip_auth_regex = [\"^/api/health$\"]\napi_routes = [\"^/api/v1/.*\"]",
    );
    let (yaml, told) = converted(&text);
    let lines = lines(&yaml);
    for line in [
        "upstream: http://web:1",
        "- { path: /api/, upstream: http://api:2 }",
        "- { path: /api/health, access: public, upstream: http://api:2 }",
        "- { path: /api/v1/, unauthenticated: status, upstream: http://api:2 }",
        "- { path: /one, upstream: http://one:3 }",
    ] {
        assert!(lines.contains(&line), "{line} in {yaml}");
    }
    assert!(told.contains("file: files are not served"), "{told}");

    let text = BASE.replace("8080/", "8080/static/");
    let (yaml, _) = converted(&format!("{text}skip_auth_routes = [\"^/static/\"]\n"));
    assert!(yaml.contains("- { path: /static }") && yaml.contains("- { path: /static/, access: public }"), "{yaml}");
}
