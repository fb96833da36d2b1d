use std::collections::BTreeSet;
use std::fs;

use http::header::{CONTENT_LANGUAGE, VARY};
use http_body_util::BodyExt as _;

use super::templates::{BUILT_IN, words_of};
use super::*;
use crate::config::{Format, Sources, load};

const GERMAN: &str = "
request: 'Anfrage {id}'
sign_in_to: 'Bei {site} <anmelden>'
sign_in: '<Anmelden> & so'
wrong_password: 'Falsch \"geraten\"'
signed_in_as: '{user} ist angemeldet.'
";

const CONFIGURATION: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers: { main: { issuer: https://id.test, audiences: [web] } }
sites: [{ host: app.test, issuer: main, upstream: http://app:80, routes: [{ path: / }] }]
translations: .
";

/// The pages with these templates and translations.
fn pages(templates: &[(&str, &str)], translations: &[(&str, &str)]) -> Result<Pages, PagesError> {
    let (pages, words) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (directory, files) in [(&pages, templates), (&words, translations)] {
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
    }
    let loaded = load(&Sources::text("usher.yaml", Format::Yaml, CONFIGURATION, words.path())).unwrap();
    Pages::load(Some(pages.path()), &loaded.config.translations)
}

fn reader(accept_language: Option<&HeaderValue>) -> Reader<'_> {
    Reader { request_id: "<7>", accept_language }
}

fn sign_in_page(pages: &Pages, accept_language: &'static str) -> Response<Body> {
    let problem = Some(Problem { what: Word::WrongPassword, retry_after: None });
    let page = SignInPage { site: "app.test", action: "/a", rd: "/<rd>", username: "\"al", problem };
    let language = HeaderValue::from_static(accept_language);
    pages.sign_in(StatusCode::UNAUTHORIZED, &page, &reader(Some(&language)))
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn words_and_what_is_put_into_them_are_escaped() {
    let pages = pages(&[], &[("de.yaml", GERMAN)]).unwrap();
    let page = text(sign_in_page(&pages, "de-AT")).await;
    for expected in [
        "<html lang=\"de\" dir=\"ltr\">",
        "<title>Bei app.test &lt;anmelden&gt;</title>",
        "<h1>&lt;Anmelden&gt; &amp; so</h1>",
        "Falsch &quot;geraten&quot;",
        "Anfrage <code>&lt;7&gt;</code>",
        "value=\"&quot;al\"",
        "<label for=\"password\">Password</label>",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    let page = SignOutPage { site: "app.test", action: "/a", user: Some("<b>Al</b>"), onward: &[] };
    let language = HeaderValue::from_static("de");
    let page = text(pages.sign_out(&page, &reader(Some(&language)))).await;
    assert!(page.contains("<p><strong>&lt;b&gt;Al&lt;&#x2f;b&gt;</strong> ist angemeldet.</p>"), "{page}");
}

#[tokio::test]
async fn who_has_to_wait_is_told_how_long_in_whole_seconds_or_minutes() {
    let german = "too_many_attempts: 'Zu oft.'\ntry_in_minutes: 'In {minutes} Minuten.'\n";
    let pages = pages(&[], &[("de.yaml", german)]).unwrap();
    for (seconds, wanted, told) in [
        (1, "en", "There were too many attempts to sign in. Please try again in 2 seconds."),
        (90, "en", "There were too many attempts to sign in. Please try again in 90 seconds."),
        (91, "en", "There were too many attempts to sign in. Please try again in 2 minutes."),
        (841, "de", "Zu oft. In 15 Minuten."),
    ] {
        let problem = Some(Problem { what: Word::TooManyAttempts, retry_after: Some(seconds) });
        let page = SignInPage { site: "app.test", action: "/a", rd: "/", username: "al", problem };
        let language = HeaderValue::from_static(wanted);
        let reader = reader(Some(&language));
        for response in [
            pages.sign_in(StatusCode::TOO_MANY_REQUESTS, &page, &reader),
            pages.one_time_code(StatusCode::TOO_MANY_REQUESTS, &page, "/again", &reader),
        ] {
            let page = text(response).await;
            assert!(page.contains(told), "{told}: {page}");
        }
    }
}

#[tokio::test]
async fn the_language_is_said_only_where_there_is_a_choice() {
    let pages_of = |translations| pages(&[], translations).unwrap();
    for (translations, wanted, language) in
        [(&[][..], "de", None), (&[("de.yaml", GERMAN)], "de", Some("de")), (&[("de.yaml", GERMAN)], "it", Some("en"))]
    {
        let response = sign_in_page(&pages_of(translations), wanted);
        let said = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(said(CONTENT_LANGUAGE).as_deref(), language);
        assert_eq!(said(VARY).as_deref(), language.map(|_| "Accept-Language"));
    }
}

#[tokio::test]
async fn what_is_written_from_right_to_left_says_so() {
    let pages = pages(&[], &[("ar.yaml", "sign_in: تسجيل الدخول\n"), ("az-Latn.yaml", "")]).unwrap();
    let page = text(sign_in_page(&pages, "ar-EG")).await;
    assert!(page.contains("<html lang=\"ar\" dir=\"rtl\">") && page.contains("<h1>تسجيل الدخول</h1>"), "{page}");
    let page = text(sign_in_page(&pages, "az-Latn")).await;
    assert!(page.contains("<html lang=\"az-Latn\" dir=\"ltr\">"), "{page}");
}

#[tokio::test]
async fn an_operators_english_takes_the_place_of_the_built_in_one() {
    let pages = pages(&[], &[("en.yaml", "user_name: Badge number\n")]).unwrap();
    for wanted in ["en-GB", "it", ""] {
        assert!(text(sign_in_page(&pages, wanted)).await.contains(">Badge number</label>"), "{wanted}");
    }
}

#[tokio::test]
async fn an_operators_template_has_its_own_words_or_ours() {
    let own = "{% extends \"layout.html\" %}{% block language %}nl{% endblock %}{% block title %}Inloggen{% endblock %}
        {% block content %}{{ problem }} {{ words.password }} {{ words.sign_in_to(site=site) }}{% endblock %}";
    let pages = pages(&[("sign-in.html", own)], &[("de.yaml", GERMAN)]).unwrap();
    let page = text(sign_in_page(&pages, "de")).await;
    for expected in
        ["lang=\"nl\"", "<title>Inloggen</title>", "Falsch &quot;geraten&quot; Password Bei app.test &lt;anmelden&gt;"]
    {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}

#[tokio::test]
async fn a_template_with_a_word_that_there_is_not_is_refused_and_one_without_its_place_is_not_used() {
    for template in ["{{ words.pasword }}", "{{ words.sign_in_too(site=site) }}"] {
        let refused = pages(&[("sign-in.html", template)], &[]).err();
        assert!(matches!(refused, Some(PagesError::UnknownWord { name: SIGN_IN, .. })), "{template}: {refused:?}");
    }
    for template in ["{{ words.sign_in_to() }}", "{{ words.sign_in_to(site=site, user=1) }}"] {
        let page = text(sign_in_page(&pages(&[("sign-in.html", template)], &[]).unwrap(), "en")).await;
        assert!(page.contains("<h1>Sign in</h1>"), "{page}");
    }
}

/// Whatever somebody reads is a word, so that it can be said in another language.
#[test]
fn the_built_in_templates_have_no_words_of_their_own() {
    for (name, template) in BUILT_IN {
        let mut rest = template.replace("<!doctype html>", "");
        for (open, close) in [("{%", "%}"), ("{{", "}}"), ("<", ">")] {
            while let Some((before, after)) = rest.split_once(open) {
                rest = format!("{before} {}", after.split_once(close).unwrap().1);
            }
        }
        assert!(!rest.contains(char::is_alphabetic), "{name}: {rest}");
        for attribute in ["title=\"", "alt=\"", "placeholder=\"", "aria-label=\""] {
            let literal = template.split(attribute).skip(1).find(|value| !value.starts_with("{{"));
            assert_eq!(literal, None, "{name}: {attribute}");
        }
    }
}

#[test]
fn every_word_is_said_by_a_template_or_by_an_answer() {
    let environment = environment(None).unwrap();
    let mut said: BTreeSet<String> = BTreeSet::new();
    for (name, _) in BUILT_IN {
        said.extend(words_of(&environment.get_template(name).unwrap()));
    }
    let code = include_str!("../endpoints/issuer/one_time_code.rs");
    let answers = [
        code,
        include_str!("../answer.rs"),
        include_str!("../answer/description.rs"),
        include_str!("../answer/description/sign_in.rs"),
        include_str!("../pages.rs"),
        include_str!("../pages/language.rs"),
    ];
    let names: BTreeSet<&str> = answers
        .iter()
        .flat_map(|source| source.split("Word::").skip(1))
        .filter_map(|rest| rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next())
        .collect();
    let unsaid = |word: &&Word| !said.contains(word.key()) && !names.contains(format!("{word:?}").as_str());
    let unsaid: Vec<_> = Word::ALL.iter().filter(unsaid).collect();
    assert!(unsaid.is_empty(), "{unsaid:?}");
}
