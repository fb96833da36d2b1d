//! Options that no part of ours takes: what each of them is here, and what to do.

use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};

/// A remedy that is shared by what belongs together.
const COOKIES: &str = "the attributes of cookies are fixed: __Host-usher-…, Secure, HttpOnly, SameSite=Lax, Path=/, one host. \
                       Nothing to do, but for people to sign in once";
const HTPASSWD: &str = "there are no users of its own beside a provider's; a local issuer (usher user add) has them, as another \
                        site's issuer";
const LOGS: &str =
    "the log goes to standard error, one line for each request: see log.format, log.level and log.subject";
const PAGES: &str = "pages are templates in a directory: see pages, and translations for their words";
const ENDPOINTS: &str =
    "endpoints come from discovery at the issuer; where Usher must dial another address, write backchannel_url";
const GOOGLE: &str = "the directory of Google is not asked; require a claim of the token";
const NO_CHECK: &str = "certificates are always verified: name the authority as ca_file";
const METRICS: &str = "metrics are at /metrics of the admin listener, under other names; see examples/monitoring";
const SIGN_IN: &str = "people are sent to the provider at once; there is no page with a button before it";
const NOT_ASKED: &str = "no profile is fetched; what the application is told comes from the token";

/// The option, its default where that needs no words, and what is said of any other value.
const LEFT_OUT: [(&str, &str, &str); 111] = [
    ("allow_query_semicolons", "false", "queries go on as they are"),
    ("alpha_config", "", "the YAML that it names is not read: write its upstreams and providers by hand"),
    (
        "approval_prompt",
        "force",
        "write authorization_parameters: { prompt: consent }, if people should be asked again",
    ),
    ("auth_logging", "true", LOGS),
    ("auth_logging_format", "", LOGS),
    ("auth_request_response_mode", "", "the answer always comes in the query, the default of the code flow"),
    ("azure_graph_group_field", "", "the directory of Microsoft is not asked; require a claim of the token"),
    ("banner", "", PAGES),
    (
        "bearer_token_login_fallback",
        "true",
        "a browser is sent to sign in, and a program gets 401; see unauthenticated",
    ),
    ("bitbucket_repository", "", "Bitbucket is no OpenID provider"),
    ("bitbucket_team", "", "Bitbucket is no OpenID provider"),
    ("bitbucket_workspace", "", "Bitbucket is no OpenID provider"),
    ("code_challenge_method", "S256", "it is always S256"),
    ("config", "", "import the file that it names as well"),
    ("cookie_csrf_expire", "15m", "a sign-in may take ten minutes"),
    ("cookie_csrf_per_request", "false", "each sign-in has a cookie of its own anyway"),
    ("cookie_csrf_per_request_limit", "0", "there are 20 sign-ins at once at most"),
    ("cookie_csrf_samesite", "", COOKIES),
    (
        "cookie_domains",
        "",
        "cookies are for one host each. For several hosts write a site for each: people sign in once for each, and \
                            are not asked again while the provider knows them",
    ),
    ("cookie_httponly", "true", COOKIES),
    ("cookie_name", "_oauth2_proxy", COOKIES),
    ("cookie_path", "/", COOKIES),
    ("cookie_samesite", "lax", COOKIES),
    (
        "cookie_secure",
        "true",
        "cookies are always Secure, so browsers need https: tls.self_signed: true makes a certificate for trying",
    ),
    ("custom_sign_in_logo", "", PAGES),
    ("custom_templates_dir", "", PAGES),
    ("disable_keep_alives", "false", "connections are kept; see limits.idle_timeout"),
    ("display_htpasswd_form", "true", HTPASSWD),
    ("encode_state", "false", "the state is plain to every provider"),
    (
        "entra_id_allowed_tenants",
        "",
        "tokens of every tenant but the issuer's are refused: write an issuer for each tenant, all named in the site's issuer",
    ),
    ("entra_id_federated_token_auth", "false", "write client_key_file, or client_secret_file"),
    ("errors_to_info_log", "false", LOGS),
    ("exclude_logging_paths", "", LOGS),
    ("exclude_logging_path", "", LOGS),
    ("flush_interval", "1s", "answers are passed on as they come"),
    ("footer", "", PAGES),
    ("force_code_challenge_method", "", "it is always S256"),
    ("force_json_errors", "false", "write unauthenticated: status, for answers without redirects"),
    ("gcp_healthchecks", "false", "let them ask /healthz at the admin listener"),
    ("github_org", "", "GitHub is no OpenID provider"),
    ("github_repo", "", "GitHub is no OpenID provider"),
    ("github_team", "", "GitHub is no OpenID provider"),
    ("github_token", "", "GitHub is no OpenID provider"),
    ("github_users", "", "GitHub is no OpenID provider"),
    ("google_admin_api_user_scope", "", GOOGLE),
    ("google_admin_email", "", GOOGLE),
    ("google_service_account_json", "", GOOGLE),
    ("google_target_principal", "", GOOGLE),
    ("google_use_application_default_credentials", "false", GOOGLE),
    ("google_use_organization_id", "false", GOOGLE),
    ("htpasswd_file", "", HTPASSWD),
    ("htpasswd_user_groups", "", HTPASSWD),
    (
        "insecure_oidc_skip_issuer_verification",
        "false",
        "the issuer is always verified: write exactly what iss says as issuer",
    ),
    ("insecure_oidc_skip_nonce", "true", "the nonce is always verified"),
    ("jwt_key", "", "write client_key_file with the key (PEM, PKCS#8)"),
    ("jwt_key_file", "", "write client_key_file with the key (PEM, PKCS#8), and client_key_algorithm: RS256"),
    ("keycloak_group", "", "write require: { groups: … }"),
    ("keycloak_groups", "", "write require: { groups: … }"),
    ("logging_compress", "false", LOGS),
    ("logging_filename", "", LOGS),
    ("logging_local_time", "true", LOGS),
    ("logging_max_age", "7", LOGS),
    ("logging_max_backups", "0", LOGS),
    ("logging_max_size", "100", LOGS),
    ("login_url", "", ENDPOINTS),
    ("metrics_address", "", METRICS),
    ("metrics_secure_address", "", METRICS),
    ("metrics_tls_cert_file", "", METRICS),
    ("metrics_tls_key_file", "", METRICS),
    ("oidc_audience_claims", "", "the audience is aud"),
    ("oidc_audience_claim", "aud", "the audience is aud"),
    ("oidc_enabled_signing_algs", "", "write algorithms; RS256 and ES256 count otherwise"),
    ("oidc_jwks_url", "", ENDPOINTS),
    ("oidc_public_key_files", "", ENDPOINTS),
    ("ping_path", "/ping", "the admin listener answers /healthz"),
    ("ping_user_agent", "", "the admin listener answers /healthz"),
    ("profile_url", "", NOT_ASKED),
    ("provider_display_name", "", SIGN_IN),
    ("proxy_prefix", "/oauth2", "paths of its own are below /.usher/"),
    ("proxy_websockets", "true", "WebSockets always pass, to those who may"),
    ("pubjwk_url", "", "the public half of client_key_file is at /.usher/client-jwks.json"),
    ("ready_path", "/ready", "the admin listener answers /readyz"),
    ("redeem_url", "", ENDPOINTS),
    ("redis_connection_idle_timeout", "0", "connections to Redis are kept and made again by themselves"),
    ("redis_insecure_skip_tls_verify", "false", NO_CHECK),
    ("redis_sentinel_password", "", "the Sentinels are asked without a password"),
    ("relative_redirect_url", "false", "the redirect URI is https://SITE/.usher/callback"),
    ("request_id_header", "X-Request-Id", "it is X-Request-Id"),
    ("request_logging", "true", LOGS),
    ("request_logging_format", "", LOGS),
    ("session_cookie_minimal", "false", "write session.tokens: store, where tokens are too large for cookies"),
    ("set_basic_auth", "false", "the name of the user is not sent as Basic credentials; read it from a header"),
    ("show_debug_on_error", "false", "errors have a request id, and the log says the rest; usher explain says why"),
    (
        "signature_key",
        "",
        "requests are not signed with a shared key; assertion: true sends a signed JWT of the identity",
    ),
    ("silence_ping_logging", "false", LOGS),
    (
        "skip_auth_preflight",
        "false",
        "write cors: true with allowed_origins, which lets preflights of these origins through",
    ),
    ("skip_auth_strip_headers", "true", "identity headers of clients are always taken off, on public routes too"),
    ("skip_claims_from_profile_url", "true", NOT_ASKED),
    ("skip_oidc_discovery", "false", "people can sign in where discovery names the endpoints; see backchannel_url"),
    ("skip_provider_button", "true", SIGN_IN),
    ("ssl_insecure_skip_verify", "false", NO_CHECK),
    (
        "ssl_upstream_insecure_skip_verify",
        "false",
        "certificates are always verified: write upstream: { url: …, ca_file: … }",
    ),
    ("standard_logging", "true", LOGS),
    ("standard_logging_format", "", LOGS),
    ("tls_cipher_suites", "", "the suites are those of rustls: TLS 1.2 with forward secrecy, and TLS 1.3"),
    ("tls_min_version", "TLS1.2", "TLS 1.2 and 1.3 are spoken"),
    ("trusted_ips", "", "nobody is let in for an address; write access: public for what everybody may have"),
    ("use_system_trust_store", "false", "ca_file counts beside the system's authorities"),
    ("validate_url", "", NOT_ASKED),
    ("whitelist_domains", "", "a sign-in leads back to the site that it began on, and nowhere else"),
    ("version", "false", "is no option of a server"),
];

/// Options that other parts take, for suggestions.
const TAKEN: [&str; 59] = [
    "acr_values",
    "allowed_groups",
    "allowed_roles",
    "api_routes",
    "authenticated_emails_file",
    "azure_tenant",
    "backend_logout_url",
    "basic_auth_password",
    "client_id",
    "client_secret",
    "client_secret_file",
    "cookie_expire",
    "cookie_refresh",
    "cookie_secret",
    "cookie_secret_file",
    "email_domains",
    "extra_jwt_issuers",
    "force_https",
    "gitlab_groups",
    "google_group",
    "google_groups",
    "http_address",
    "https_address",
    "insecure_oidc_allow_unverified_email",
    "oidc_email_claim",
    "oidc_extra_audiences",
    "oidc_groups_claim",
    "oidc_issuer_url",
    "pass_access_token",
    "pass_authorization_header",
    "pass_basic_auth",
    "pass_host_header",
    "pass_user_headers",
    "prefer_email_to_user",
    "prompt",
    "provider",
    "provider_ca_files",
    "real_client_ip_header",
    "redirect_url",
    "redis_ca_path",
    "redis_cluster_connection_urls",
    "redis_connection_url",
    "redis_password",
    "redis_sentinel_connection_urls",
    "redis_sentinel_master_name",
    "redis_use_cluster",
    "redis_use_sentinel",
    "redis_username",
    "resource",
    "reverse_proxy",
    "scope",
    "session_store_type",
    "set_authorization_header",
    "set_xauthrequest",
    "skip_auth_regex",
    "skip_auth_routes",
    "skip_jwt_bearer_tokens",
    "upstreams",
    "user_id_claim",
];

/// Tells what is left when all parts have taken theirs.
pub(super) fn tell(options: Options, notes: &mut Notes) {
    for given in options.rest() {
        if given.values.iter().all(String::is_empty) {
            continue;
        }
        match LEFT_OUT.iter().find(|(name, ..)| *name == given.name) {
            Some((_, default, _)) if given.text() == *default => {}
            Some((.., said)) => notes.left_out(&given, *said),
            None if TAKEN.contains(&given.name.as_str()) => {
                notes.left_out(&given, "has no effect beside the other options");
            }
            None => unknown(&given, notes),
        }
    }
}

fn unknown(given: &Given, notes: &mut Notes) {
    let names = LEFT_OUT.into_iter().map(|(name, ..)| name).chain(TAKEN);
    let near = names.map(|name| (strsim::osa_distance(&given.name, name), name)).min();
    let meant = near.filter(|(distance, name)| *distance <= 1.max(name.len() / 3));
    match meant {
        Some((_, name)) => notes.left_out(given, format!("is no option that is known here; did you mean {name}?")),
        None => notes.left_out(given, "is no option that is known here; look it up, and write what it does by hand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_told_of_once() {
        let mut names: Vec<_> = LEFT_OUT.into_iter().map(|(name, ..)| name).chain(TAKEN).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_misspelt_option_is_named_with_a_suggestion() {
        let mut notes = Notes::default();
        tell(Options::read("cookie_nam = \"x\"\nquite_another = 1\ncookie_secure = true\n").unwrap(), &mut notes);
        let told = notes.told();
        assert!(
            told.contains("line 1, cookie_nam: is no option that is known here; did you mean cookie_name?"),
            "{told}"
        );
        assert!(told.contains("line 2, quite_another: is no option") && !told.contains("line 3"), "{told}");
    }
}
