use super::{SMALL, load_yaml, problems, small_with};

/// What is wrong, and how to put it right; each is one problem at this key.
fn table(path: &str, with: impl Fn(&str) -> String, rows: &[(&str, &str, &str)]) {
    for (value, message, remedy) in rows {
        let found = problems(&with(value));
        let [problem] = &found[..] else { panic!("{value}: {found:#?}") };
        let told = (&*problem.path, &*problem.message, problem.remedy.as_deref().unwrap_or_default());
        assert_eq!(told, (path, *message, *remedy), "{value}");
    }
}

#[test]
fn upstreams() {
    const FORMS: &str = "write it as http://app:8080, https://…, h2c://… or unix:/run/app.sock";
    table(
        "sites[0].upstream",
        |value| small_with("http://app:8080", value),
        &[
            ("app:8080", "has no scheme", "write http://app:8080, or https:// where it speaks TLS"),
            ("app", "has no scheme", "write http://app, or https:// where it speaks TLS"),
            ("127.0.0.1:8080", "has no scheme", "write http://127.0.0.1:8080, or https:// where it speaks TLS"),
            ("'[::1]:8080'", "has no scheme", "write http://[::1]:8080, or https:// where it speaks TLS"),
            ("http:/app", "has no scheme", FORMS),
            ("http//app", "has no scheme", FORMS),
            ("'8080'", "has no scheme", FORMS),
            ("user:secret@app", "has no scheme", FORMS),
            ("/run/app.sock", "has no scheme", "write unix: before the path of a socket"),
            ("unix:run/app.sock", "names a socket without its whole path", "write it as unix:/run/app.sock"),
            ("tcp://app:8080", "has a scheme that is not for applications", FORMS),
            ("http://::1:8080", "is an IPv6 address without brackets", "write it as http://[::1]:8080"),
            ("http://::1", "is an IPv6 address without brackets", "write it as http://[::1]:8080"),
            ("http://app:99999", "has a port that is none", "write a number from 1 to 65535"),
            ("http://app:http", "has a port that is none", "write a number from 1 to 65535"),
            ("http://app:0", "has port 0", "name the port of the application"),
            ("http://app/base", "must be an address without a path", "paths go on unchanged; see strip_prefix"),
            ("http://a b", "is not an address", FORMS),
            ("http://$APP:8080", "is not an address", FORMS),
            ("http://user:secret@app", "has a user in the address", "use upstream_authorization: { basic: … } instead"),
        ],
    );
}

#[test]
fn paths() {
    const REFUSED: (&str, &str) = (
        "has a character that is refused in every request",
        "take it out: slashes that are encoded, backslashes and control characters are answered 400",
    );
    table(
        "sites[0].routes[0].path",
        |value| small_with("path: /", &format!("path: {value}")),
        &[
            ("admin", "must begin with /", "write /admin"),
            ("''", "must begin with /", "write /"),
            ("https://app.example.com/admin/", "must begin with /", "write /admin/"),
            ("/a/../b", "has a dot segment, which no request keeps", "write /b"),
            ("/a/./b/", "has a dot segment, which no request keeps", "write /a/b/"),
            ("/a/b/..", "has a dot segment, which no request keeps", "write /a/"),
            ("/../..", "has a dot segment, which no request keeps", "write /"),
            ("/a//b", "has an empty segment, which no request keeps", "write /a/b"),
            ("//a//", "has an empty segment, which no request keeps", "write /a/"),
            ("//", "has an empty segment, which no request keeps", "write /"),
            ("/a%2fb", REFUSED.0, REFUSED.1),
            ("/a%2Fb", REFUSED.0, REFUSED.1),
            ("/a%5cb", REFUSED.0, REFUSED.1),
            ("/a%00", REFUSED.0, REFUSED.1),
            ("/a\\b", REFUSED.0, REFUSED.1),
            ("\"/a\\tb\"", REFUSED.0, REFUSED.1),
            ("/%41", "encodes a character that stands for itself", "write A plainly"),
            ("/%2e%2e/", "encodes a character that stands for itself", "write . plainly"),
            ("/%c3%a4", "has a % without two upper-case digits", "write %C3"),
            ("/a%", "has a % without two digits", "write a percent sign as %25"),
            ("/%zz", "has a % without two digits", "write a percent sign as %25"),
            ("/a b", "has a character that paths spell percent-encoded", "write /a%20b"),
            ("/a?b=c", "must be a path without query and fragment", "write /a"),
            (
                "/admin/*",
                "has a *, and there are no patterns",
                "a path that ends in / covers everything below it: write /admin/ for that",
            ),
            (
                "'/users/{id}/edit'",
                "has a {, and there are no patterns",
                "a path that ends in / covers everything below it: write /admin/ for /admin/*",
            ),
            (
                "/public*",
                "has a *, and there are no patterns",
                "a path that ends in / covers everything below it: write /admin/ for /admin/*",
            ),
            (
                "'/*/health'",
                "has a *, and there are no patterns",
                "a path that ends in / covers everything below it: write /admin/ for /admin/*",
            ),
            (
                "'^/admin'",
                "has a ^, and there are no patterns",
                "a path that ends in / covers everything below it: write /admin/ for /admin/*",
            ),
            ("/.Usher/x", "lies below /.usher/, which is Usher's own", "choose another path"),
        ],
    );
}

#[test]
fn listeners() {
    const MESSAGE: &str = "must be an address with a port";
    let forms = |port: u16| {
        format!("write it as 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} or [::]:{port} for all")
    };
    table(
        "listen.https",
        |value| small_with("127.0.0.1:0", value),
        &[
            ("0.0.0.0", MESSAGE, "write 0.0.0.0:8443, or another port"),
            ("'::1'", MESSAGE, "write [::1]:8443, or another port"),
            ("'[::]'", MESSAGE, "write [::]:8443, or another port"),
            ("':9443'", MESSAGE, &forms(9443)),
            ("'*:9443'", MESSAGE, &forms(9443)),
            ("localhost:9443", MESSAGE, &forms(9443)),
            ("'9443'", MESSAGE, &forms(9443)),
            ("https://0.0.0.0:9443", MESSAGE, &forms(9443)),
            ("0.0.0.0:99999", MESSAGE, &forms(8443)),
            ("nowhere", MESSAGE, &forms(8443)),
        ],
    );
    table(
        "trusted_proxies[0]",
        |value| format!("{SMALL}trusted_proxies: [{value}]\n"),
        &[
            ("10.0.0.0/99", "must be a network or an address", "write it as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"),
            ("traefik", "must be a network or an address", "write it as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"),
        ],
    );
}

#[test]
fn hosts() {
    const ALONE: &str = "write the name alone, as in app.example.com or *.corp.example.com";
    const FORMS: &str = "write it as app.internal, app.internal:8080 or [::1]:8080";
    const WITHOUT: &str = "write the name without scheme, port and path";
    table(
        "sites[0].host",
        |value| small_with("app.example.com", value),
        &[
            ("https://app.example.com", "is not a host", WITHOUT),
            ("app.example.com:443", "is not a host", WITHOUT),
            ("app.example.com/x", "is not a host", WITHOUT),
            ("'::1'", "is an IPv6 address without brackets", "write [::1]"),
            ("'*'", "is not a host", ALONE),
            ("'*.*.example.com'", "is not a host", ALONE),
            (".example.com", "is not a host", ALONE),
            ("a.test, b.test", "is not a host", ALONE),
            ("$HOST", "is not a host", ALONE),
            ("'*.192.0.2.7'", "has a wildcard before an address", "write the address alone"),
        ],
    );
    table(
        "sites[0].rewrite_host",
        |value| small_with("issuer: main\n", &format!("issuer: main\n    rewrite_host: {value}\n")),
        &[
            ("http://app.internal", "is not a host", FORMS),
            ("'::1'", "is not a host", FORMS),
            ("app.internal:99999", "is not a host", FORMS),
            ("$host", "is not a host", FORMS),
        ],
    );
    table(
        "sites[0].allowed_origins[0]",
        |value| small_with("issuer: main\n", &format!("issuer: main\n    allowed_origins: [{value}]\n")),
        &[
            ("spa.test", "is not an origin", "write it as https://app.example.com, one by one, without a path"),
            ("'*'", "is not an origin", "write it as https://app.example.com, one by one, without a path"),
        ],
    );
}

#[test]
fn issuers() {
    let elsewhere =
        |remedy: &str| format!("{remedy}, or say where the keys are: jwks_url, public_key_file or hmac_secret_file");
    let rows = [
        ("id.test/realms/x", "is not a URL", "write it in full, as in https://id.test/realms/x"),
        ("localhost:8080", "is not a URL", "write it in full, as in https://localhost:8080"),
        ("ftp://id.test", "is not a URL", "write it in full, as in https://id.example.com/realms/main"),
        ("user:secret@id.test", "is not a URL", "write it in full, as in https://id.example.com/realms/main"),
        ("https://id.test?x=y", "must be a URL without a query", "write it as https://id.example.com/realms/main"),
        ("'https://id.test#x'", "has a fragment in the URL", "take out everything from # on"),
        ("https://u:p@id.test", "has a user in the URL", "use client_id and client_secret instead"),
        (
            "http://id.test",
            "goes over plain http",
            "write https, or add insecure_http: true to the issuer if nobody can listen on the way",
        ),
        (
            "https://id.test/realms/x/.well-known/openid-configuration",
            "is where the discovery document is",
            "write https://id.test/realms/x",
        ),
    ];
    for (value, message, remedy) in rows {
        let with = |value: &str| small_with("https://id.example.com", value);
        table("issuers.main.issuer", with, &[(value, message, &elsewhere(remedy))]);
    }
    table(
        "issuers.main.jwks_url",
        |value| small_with("audiences: [web]", &format!("audiences: [web], jwks_url: {value}")),
        &[("id.test/keys", "is not a URL", "write it in full, as in https://id.test/keys")],
    );
}

#[test]
fn a_segment_that_other_routers_take_for_a_variable_is_warned_of() {
    let warned = |path: &str| {
        let loaded = load_yaml(&small_with("path: /", &format!("path: {path}"))).unwrap();
        loaded.notes.iter().any(|note| note.is_warning && note.path == "sites[0].routes[0].path")
    };
    assert!(warned("/users/:id") && warned("/:tenant/"));
    assert!(!warned("/v1/books:batch") && !warned("/users/"));
}
