use super::{load_yaml, problems, small_with};

fn with(require: &str) -> String {
    small_with("- path: /", &format!("- {{ path: /, require: {require} }}"))
}

/// The path of each problem, and its message.
fn refused(require: &str) -> Vec<(String, String)> {
    let place = |path: &str| path.trim_start_matches("sites[0].routes[0].require.").to_owned();
    problems(&with(require)).into_iter().map(|problem| (place(&problem.path), problem.message)).collect()
}

/// The paths of what is warned of.
fn warned(require: &str) -> Vec<String> {
    let loaded = load_yaml(&with(require)).unwrap_or_else(|error| panic!("{require}: {error}"));
    let warnings = loaded.notes.into_iter().filter(|note| note.is_warning);
    warnings.map(|note| note.path.trim_start_matches("sites[0].routes[0].require.").to_owned()).collect()
}

#[test]
fn what_nobody_can_meet_together_is_refused() {
    for (require, path, words) in [
        ("{ roles: { any: [a, b], none: [c, b] } }", "roles.any[1]", "in none as well"),
        ("{ roles: { all: [a], none: [a] } }", "roles.all[0]", "in none as well"),
        ("{ scope: { all: [read, write], none: [write] } }", "scope.all[1]", "in none as well"),
        ("{ email: { domain: a.test, any: [x@a.test, x@b.test] } }", "email.any[1]", "in no domain"),
        ("{ upn: { domain: [.a.test], all: [x@a.test] } }", "upn.all[0]", "in no domain"),
    ] {
        let found = refused(require);
        assert!(found.len() == 1 && found[0].0 == path && found[0].1.contains(words), "{require}: {found:?}");
    }
    // What is wrong by itself is told alone.
    assert_eq!(refused("{ scope: { any: ['a b'], none: [c] } }").len(), 1);
    assert_eq!(refused("{ email: { domain: '*', any: [x@a.test] } }").len(), 1);
    for fine in ["{ roles: { any: [a], all: [b], none: [c] } }", "{ email: { domain: .a.test, any: [X@b.a.test] } }"] {
        assert!(warned(fine).is_empty(), "{fine}");
    }
}

#[test]
fn a_domain_with_addresses_that_are_not_verified_is_warned_of() {
    for (verified, told) in [
        ("true", false),
        ("'true'", false),
        ("{ any: [true, 'true'] }", false),
        ("{ all: [true] }", false),
        ("{ none: [false, 'false'] }", false),
        ("{ none: [false] }", true),
        ("{ none: ['false'] }", true),
        ("{ none: [true] }", true),
        ("false", true),
        ("'false'", true),
        ("{ any: [true, false] }", true),
        ("{ any: [true, 'false'] }", true),
    ] {
        let require = format!("{{ email: {{ domain: a.test }}, email_verified: {verified} }}");
        assert_eq!(warned(&require), if told { &["email_verified"][..] } else { &[] }, "{require}");
        assert!(warned(&format!("{{ email_verified: {verified} }}")).is_empty(), "{verified} alone");
        assert!(
            warned(&format!("{{ upn: {{ domain: a.test }}, email_verified: {verified} }}")).is_empty(),
            "{verified}"
        );
    }
}

#[test]
fn an_address_that_is_kept_out_by_its_spelling_is_warned_of() {
    assert_eq!(warned("{ email: { domain: a.test, none: [x@a.test] } }"), ["email.none"]);
    assert_eq!(warned("{ email: { none: [x@a.test] } }"), ["email.none"]);
    assert_eq!(warned("{ upn: { domain: a.test, none: [x@a.test] } }"), ["upn.none"]);
    for fine in ["{ sub: { none: [x@a.test] } }", "{ email: { domain: a.test } }"] {
        assert!(warned(fine).is_empty(), "{fine}");
    }
}
