//! Everything that the pages say, in English: the words that a translation has, and what is shown where it has none.
//!
//! `{name}` is a place where something is put in. Each word says its places once and for all: a translation has the same.

macro_rules! words {
    ($($(#[$note:meta])* $word:ident $key:literal $text:literal,)*) => {
        /// One text of a page. Its documentation is what it is in English.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Word {
            $(#[doc = $text] $(#[$note])* $word,)*
        }

        impl Word {
            /// All of them, in the order of [`Word::index`].
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// The key of a translation's file.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$word => $key,)* }
            }

            /// The English text.
            #[must_use]
            pub const fn english(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }
    };
}

words! {
    // On every page.
    Request "request" "Request {id}",

    // What people press.
    SignIn "sign_in" "Sign in",
    SignInInNewTab "sign_in_in_new_tab" "Sign in (new tab)",
    SignOut "sign_out" "Sign out",
    TryAgain "try_again" "Try again",
    SendAgain "send_again" "Send again",
    Continue "continue" "Continue",
    StaySignedIn "stay_signed_in" "Stay signed in",

    // The pages that people sign in and out on.
    SignInTo "sign_in_to" "Sign in to {site}",
    UserName "user_name" "User name",
    Password "password" "Password",
    EnterCode "enter_code" "Enter your code",
    CodeHint "code_hint" "Your authenticator app shows six digits for {user}, new ones every 30 seconds.",
    Code "code" "Code",
    StartAgain "start_again" "Start again",
    StartAgainToChange "start_again_to_change" "{link} as somebody else.",
    SignedInTo "signed_in_to" "Signed in to {site}",
    SignedIn "signed_in" "You are signed in",
    GoBackToForm "go_back_to_form"
        "Go back to the tab with your form, and send it again there. You may close this one.",
    SignOutOf "sign_out_of" "Sign out of {site}",
    SignOutQuestion "sign_out_question" "Sign out?",
    SignedInAs "signed_in_as" "You are signed in as {user}.",
    SignedInNameless "signed_in_nameless" "You are signed in.",
    SignedOut "signed_out" "You are signed out",
    CloseBrowser "close_browser" "Close the browser if others use this device.",

    // What a refusal is headed by.
    NotSignedIn "not_signed_in" "You are not signed in",
    NotAllowed "not_allowed" "This is not allowed",
    OutOfOrder "out_of_order" "Something is out of order",
    NotAvailable "not_available" "Not available right now",
    PleaseSignInAgain "please_sign_in_again" "Please sign in again",
    NotEnough "not_enough" "Signing in was not enough",
    Circles "circles" "Signing in goes in circles",
    BadRequest "bad_request" "Bad Request",
    NotFound "not_found" "Not Found",
    MethodNotAllowed "method_not_allowed" "Method Not Allowed",
    RequestTimeout "request_timeout" "Request Timeout",
    PayloadTooLarge "payload_too_large" "Payload Too Large",
    UriTooLong "uri_too_long" "URI Too Long",
    MisdirectedRequest "misdirected_request" "Misdirected Request",
    TooManyRequests "too_many_requests" "Too Many Requests",
    InternalServerError "internal_server_error" "Internal Server Error",
    Error "error" "Error",

    // What stands below that.
    Required "required" "Required: {conditions}",
    FrontPage "front_page" "front page",
    GoTo "go_to" "Go to the {link}.",
    SignOutToChange "sign_out_to_change" "{link} to come back as somebody else.",

    // Requests that are refused before anybody is asked who they are.
    AddressTooLong "address_too_long" "The address is too long.",
    MethodNotServed "method_not_served" "This method is not served here.",
    Ambiguous "ambiguous" "The request cannot be read in one way only.",
    NoSite "no_site" "There is no site of this name here.",
    OtherHandshake "other_handshake" "This connection was opened for another site, or under other terms.",
    CertificateExpired "certificate_expired" "The client certificate of this connection has expired.",
    NothingHere "nothing_here" "There is nothing at this address.",
    MethodNotTaken "method_not_taken" "This address does not take this method.",
    OneCredential "one_credential" "The request must carry one credential, in one form.",
    CrossSite "cross_site" "Another site made the browser send this request.",
    BodyTooLarge "body_too_large" "The request body is too large.",
    RateLimited "rate_limited" "There were too many requests. Please wait a moment, and try again.",

    // Whoever is not signed in.
    PleaseSignIn "please_sign_in" "Please sign in.",
    SessionEnded "session_ended" "Your session has ended. Please sign in again.",
    TokenExpired "token_expired" "The access token has expired.",
    TokenRefused "token_refused" "The access token does not count here.",
    CertificateNotShown "certificate_not_shown" "This needs a client certificate, and none was shown.",
    CertificateNameless "certificate_nameless" "Your client certificate does not say who you are.",
    FormLost "form_lost"
        "You are not signed in, or no longer. What you sent was not delivered, and is not kept: sign in, and fill it \
         in again.",
    FormKept "form_kept"
        "You are not signed in, or no longer. What you sent was not delivered, but it is kept on this page: sign in, \
         come back here, and send it again.",
    FormLostUntilAnew "form_lost_until_anew"
        "This needs another sign-in. What you sent was not delivered, and is not kept: sign in again, and fill it in again.",
    FormKeptUntilAnew "form_kept_until_anew"
        "This needs another sign-in. What you sent was not delivered, but it is kept on this page: sign in again, come back \
         here, and send it again.",
    NotRenewed "not_renewed"
        "Your session cannot be renewed at the moment. You are still signed in: please try again in a moment.",
    StillSignedIn "still_signed_in"
        "The sign-in service cannot be reached. You are still signed in: please try again in a moment.",
    TokenUnverified "token_unverified"
        "The sign-in service cannot be reached, and without it the token cannot be verified: please try again in a moment.",

    // Whoever is, and may not, or not yet.
    SignInInsufficient "sign_in_insufficient"
        "You are signed in, but this needs a sign-in of another kind, or a more recent one.",
    Forbidden "forbidden" "You are signed in, but not allowed to do this.",
    NoSubject "no_subject" "Your account has no name for the application.",
    Indescribable "indescribable" "Your account cannot be described to the application.",

    // The application, and what is between.
    ApplicationAway "application_away" "The application cannot be reached.",
    ApplicationBusy "application_busy" "The application has too much to do. Please try again in a moment.",
    ApplicationBroken "application_broken" "The application did not answer properly.",
    ApplicationSlow "application_slow" "The application did not answer in time.",
    BodySlow "body_slow" "The request body did not arrive in time.",
    BodyCutShort "body_cut_short" "The request body did not arrive whole.",
    OurFault "our_fault" "Something went wrong here.",

    // The sign-in with a name and a password.
    WrongPassword "wrong_password" "The user name or the password is wrong.",
    CodeNeeded "code_needed" "A one-time password is needed as well.",
    WrongCode "wrong_code" "This code is wrong, or was used before. Wait for the next one.",
    PasswordTooLong "password_too_long" "The user name or the password is too long.",
    TooManyAttempts "too_many_attempts" "There were too many attempts to sign in.",
    Busy "busy" "Too many sign in at once.",
    TryInSeconds "try_in_seconds" "Please try again in {seconds} seconds.",
    TryInMinutes "try_in_minutes" "Please try again in {minutes} minutes.",
    SignInUnavailable "sign_in_unavailable" "Sign-in is not possible at the moment.",
    SignInIsJson "sign_in_is_json"
        "A sign-in is a JSON object with username and password, and totp where it is needed, all text.",
    CookiesNotKept "cookies_not_kept"
        "Your browser does not keep cookies of this site, without which nobody stays signed in. Allow them, and sign \
         in again.",

    // The sign-in somewhere else.
    SignInNotOffered "sign_in_not_offered" "Nobody can sign in here in this way.",
    SignInNeedsWindow "sign_in_needs_window" "Signing in takes a browser window: open this address in one.",
    SignInNotAskedFor "sign_in_not_asked_for"
        "No page of this site asks for such a sign-in. Please open the page that you want to see once more.",
    SignInNotEnough "sign_in_not_enough"
        "This page needs a sign-in of another kind, or a more recent one, than the one that you have just made. Your \
         account may lack what that takes, such as a second factor, or the sign-in service does not offer it.",
    SignInNotSetUp "sign_in_not_set_up" "The sign-in service is not set up for this.",
    SignInMalformed "sign_in_malformed" "This is no answer of the sign-in service.",
    SignInUnknown "sign_in_unknown"
        "This browser has no such sign-in under way. It is done already, was begun under another address, or the \
         browser does not keep cookies of this site.",
    SignInRepeated "sign_in_repeated"
        "This page was opened before, and the sign-in is done or has failed. If you are not signed in, try once more.",
    SignInExpired "sign_in_expired" "This took too long. Please sign in again.",
    SignInElsewhere "sign_in_elsewhere" "This sign-in was begun elsewhere.",
    SignInOtherIssuer "sign_in_other_issuer"
        "This is the answer of another sign-in service than the one that was asked.",
    SignInNoLongerGood "sign_in_no_longer_good" "The sign-in service says that this sign-in is no longer good.",
    SignInUncertain "sign_in_uncertain" "The sign-in service did not say for certain who you are.",
    SignInUseless "sign_in_useless"
        "You have signed in, but the sign-in service's tokens do not count here. The operator's log says why.",
    SignInServiceAway "sign_in_service_away" "The sign-in service cannot be reached. Please try again in a moment.",
    SignInServiceBroken "sign_in_service_broken" "The sign-in service did not answer properly.",
    SignInDenied "sign_in_denied" "The sign-in service did not let you in.",
    SignInRefused "sign_in_refused" "The sign-in service refused to sign you in.",
    SignInSiteRefused "sign_in_site_refused" "The sign-in service does not accept this site.",

    // Signing in again and again.
    LoopNotKept "loop_not_kept"
        "You have signed in several times, but your browser does not send the session back. The likely cause: it \
         blocks cookies of this site, or the cookies are too large for it.",
    LoopNotSecure "loop_not_secure"
        "You have signed in several times, but your browser does not send the session back. The likely cause: this \
         site is open over plain http, and the session cookies are Secure. Use https.",
    LoopUnreadable "loop_unreadable"
        "You have signed in several times, but the session cookies cannot be read. The likely cause: another server \
         answers under this name with another session secret.",
    LoopClock "loop_clock"
        "You have signed in several times, but each new session is over at once. The likely cause: the clock of this \
         server or that of the sign-in service is wrong, or its tokens live for too short a time.",
    LoopRefused "loop_refused"
        "You have signed in several times, but the session does not count here. The likely cause: it was ended \
         elsewhere, or the sign-in service's tokens are meant for another audience.",
    LoopSignedIn "loop_signed_in"
        "You are signed in, but were sent to sign in again and again. The likely cause: the application asks for it \
         although it is told who you are.",
    LoopNotAnew "loop_not_anew"
        "You are signed in, but this page needs a new sign-in. The likely cause: the login page sends you back without \
         asking who you are.",

    // The sign-out that an issuer tells of.
    LogoutTokenLater "logout_token_later" "The logout token cannot be verified at the moment.",
    LogoutTokenRefused "logout_token_refused" "This is no logout token that counts here.",
}
