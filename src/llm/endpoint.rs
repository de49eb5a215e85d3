//! Which API a request speaks.

use http::Method;

/// A model API that Tollgate understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages` (Anthropic).
    Messages,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
    ];

    /// The API behind a method and a path (without the query); `None` for everything that only passes through.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        if *method != Method::POST {
            return None;
        }
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }

    /// The path it lives on.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// Whose envelope its errors wear.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages => Dialect::Anthropic,
            Self::ChatCompletions | Self::Completions | Self::Embeddings | Self::Responses => {
                Dialect::OpenAi
            }
        }
    }

    /// Operation name after OpenTelemetry's `gen_ai.operation.name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Messages => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
        }
    }
}

/// Whose wire habits are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's, and of everybody who copied it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

impl Dialect {
    /// The dialect for answers on a path, also on paths that are no [`Endpoint`].
    pub fn of_path(path: &str) -> Self {
        match path.strip_prefix("/v1/messages") {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_post_on_the_exact_path_is_an_endpoint() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::of(&Method::POST, endpoint.path()), Some(endpoint));
            assert_eq!(Endpoint::of(&Method::GET, endpoint.path()), None);
            assert_eq!(
                Endpoint::of(&Method::POST, &format!("{}/", endpoint.path())),
                None
            );
        }
        assert_eq!(
            Endpoint::of(&Method::POST, "/v1/messages/count_tokens"),
            None
        );
    }

    #[test]
    fn everything_under_messages_speaks_anthropic() {
        assert_eq!(Dialect::of_path("/v1/messages"), Dialect::Anthropic);
        assert_eq!(
            Dialect::of_path("/v1/messages/count_tokens"),
            Dialect::Anthropic
        );
        assert_eq!(Dialect::of_path("/v1/messages_of_mine"), Dialect::OpenAi);
        assert_eq!(Dialect::of_path("/v1/responses"), Dialect::OpenAi);
    }
}
