//! Errors as the API shows them: problem details (RFC 9457).

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::because;
use model::because::{Because, Reason};
use serde::Serialize;
use utoipa::ToSchema;

model::words! {
    /// What went wrong, stable for ever: the last part of the problem's `type`.
    ProblemKind {
        RequestInvalid = "request-invalid",
        Unauthenticated = "unauthenticated",
        SignInRefused = "sign-in-refused",
        PasswordChangeNeeded = "password-change-needed",
        Forbidden = "forbidden",
        OriginRefused = "origin-refused",
        NotFound = "not-found",
        MethodNotAllowed = "method-not-allowed",
        TimedOut = "timed-out",
        Conflict = "conflict",
        TooLarge = "too-large",
        MediaType = "media-type",
        TooManyAttempts = "too-many-attempts",
        Overloaded = "overloaded",
        Internal = "internal",
    }
}

impl ProblemKind {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestInvalid => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::SignInRefused => StatusCode::UNAUTHORIZED,
            Self::PasswordChangeNeeded | Self::Forbidden | Self::OriginRefused => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::RequestInvalid => "The request is not valid",
            Self::Unauthenticated => "Sign in first",
            Self::SignInRefused => "Name or password is wrong",
            Self::PasswordChangeNeeded => "Change the password first",
            Self::Forbidden => "Your role may not do this",
            Self::OriginRefused => "The request comes from another site",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "This address does not know the method",
            Self::TimedOut => "The request took too long",
            Self::Conflict => "The request does not fit the present state",
            Self::TooLarge => "The request is too large",
            Self::MediaType => "The body must be JSON",
            Self::TooManyAttempts => "Too many attempts",
            Self::Overloaded => "The server is busy",
            Self::Internal => "The server failed",
        }
    }
}

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Parameter name, or path into the body.
    #[schema(example = "limit")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "must be at most 200")]
    pub detail: String,
    /// The same by the id of its sentence, for readers of other languages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
}

impl FieldError {
    pub fn new(field: impl Into<String>, detail: impl Into<Because>) -> Self {
        let Because { text, reason } = detail.into();
        Self { field: field.into(), detail: text, why: reason }
    }
}

/// An answer that says why there is no other one.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: ProblemKind,
    /// Apart from the rest, which every result of a handler has room for.
    pub detail: Box<Because>,
    pub errors: Vec<FieldError>,
    /// Seconds after which another attempt makes sense.
    pub retry_after_s: Option<u64>,
    /// Methods that the address does know.
    pub allow: Option<HeaderValue>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<Because>) -> Self {
        let detail = Box::new(detail.into());
        Self { kind, detail, errors: Vec::new(), retry_after_s: None, allow: None }
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.detail),
            many => format!("{} fields are wrong", many.len()),
        };
        Self { errors, ..Self::new(ProblemKind::RequestInvalid, detail) }
    }

    /// One wrong field.
    pub fn field(field: impl Into<String>, detail: impl Into<Because>) -> Self {
        Self::invalid(vec![FieldError::new(field, detail)])
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("no such {what}"))
    }

    pub fn conflict(detail: impl Into<Because>) -> Self {
        Self::new(ProblemKind::Conflict, detail)
    }

    pub fn failed() -> Self {
        let detail = because!("server.failed", "the reason stands in the server's log");
        Self::new(ProblemKind::Internal, detail)
    }

    /// A failure of our own: the reason goes to the log, never to the caller.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(it) = source {
            reason.push_str(": ");
            reason.push_str(&it.to_string());
            source = it.source();
        }
        tracing::error!(%reason, "request failed");
        Self::failed()
    }
}

/// How a [`Problem`] looks on the wire.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Stable identifier of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:garrison:problem:not-found")]
    pub kind: String,
    /// The kind in words.
    #[schema(example = "There is no such thing")]
    pub title: String,
    /// HTTP status code.
    #[schema(example = 404, minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this very request.
    #[schema(example = "no such host")]
    pub detail: String,
    /// The detail by the id of its sentence, for readers of other languages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
    /// Which fields are wrong, where that is the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let Because { text, reason } = *self.detail;
        let body = ProblemBody {
            kind: format!("urn:garrison:problem:{}", self.kind),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: text,
            why: reason,
            errors: self.errors,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut set = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        if let Some(seconds) = self.retry_after_s {
            set(header::RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = self.allow {
            set(header::ALLOW, methods);
        }
        if status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"garrison\""));
        }
        response
    }
}
