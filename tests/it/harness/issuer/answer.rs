//! How the token endpoint answers.

/// One way to answer a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenAnswer {
    /// New tokens; the presented refresh token is spent.
    Rotate,
    /// A new access token and no refresh token: the presented one stays good (RFC 6749 §6).
    Keep,
    /// New tokens, and nothing but them: no `expires_in`, no `scope`.
    Sparse,
    /// New tokens, with this beside them for an ID token.
    IdToken(&'static str),
    /// New tokens of somebody else.
    OtherSubject(&'static str),
    /// New tokens that name nobody.
    NoSubject,
    /// New tokens that say another `iss`.
    OtherIssuer,
    /// New tokens whose access token is signed with a key that nobody published.
    Forged,
    /// New tokens without the roles that the user had.
    Demoted,
    /// This status with an empty JSON object and this `Retry-After`.
    Status(u16, Option<&'static str>),
    /// 200 with a body that is not JSON although it says so.
    Garbage,
    /// 200 with the page of a load balancer.
    Html,
    /// 200 with JSON that has no token in it.
    Empty,
    /// 401 `invalid_client`: the operator's fault.
    InvalidClient,
    /// 400 `invalid_request`: ours or the operator's.
    InvalidRequest,
    /// 400 `invalid_grant`: the session is over.
    InvalidGrant,
    /// 500 whose text speaks of `invalid_grant`: must not be taken for one.
    ServerErrorThatMentionsInvalidGrant,
    /// The connection closes without an answer; nothing was rotated.
    Hangup,
    /// The refresh token is rotated, then the connection closes without an answer.
    RotateThenHangup,
    /// No answer, ever; nothing was rotated.
    Hang,
}
