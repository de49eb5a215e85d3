//! Why a model stopped.

/// Why an answer ended, over all dialects. Ordered from the best end to the worst, so that the end of an answer with
/// several choices is the greatest of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finish {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The model asks for tools to be called.
    ToolCalls,
    /// A token limit cut the answer.
    Length,
    /// The server paused a long turn and wants it sent back.
    Pause,
    /// A filter or a refusal ended it.
    Filtered,
    /// A reason this version does not know.
    Other,
    /// The server gave it up.
    Aborted,
}

impl Finish {
    /// The meaning of a `finish_reason` (OpenAI and its kin) or `stop_reason` (Anthropic).
    pub fn of_reason(reason: &str) -> Self {
        match reason {
            "stop" | "end_turn" | "stop_sequence" | "eos" | "eos_token" | "end" => Self::Stop,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "length"
            | "max_tokens"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded" => Self::Length,
            "pause_turn" => Self::Pause,
            "content_filter" | "refusal" | "safety" => Self::Filtered,
            "abort" | "error" | "cancelled" | "failed" => Self::Aborted,
            _ => Self::Other,
        }
    }

    /// The model ended by its own will: a stop or a call for tools. What a cache may remember.
    pub fn is_natural(self) -> bool {
        matches!(self, Self::Stop | Self::ToolCalls)
    }

    /// The server said why, and the answer is whole as far as the server is concerned.
    pub fn is_proper(self) -> bool {
        !matches!(self, Self::Other | Self::Aborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_reason_is_neither_proper_nor_natural() {
        let finish = Finish::of_reason("because");
        assert!(!finish.is_proper() && !finish.is_natural());
    }

    #[test]
    fn a_cut_answer_is_proper_but_not_natural() {
        for reason in ["length", "max_tokens"] {
            let finish = Finish::of_reason(reason);
            assert!(finish.is_proper() && !finish.is_natural());
        }
    }

    #[test]
    fn the_end_of_several_choices_is_the_worst_of_them() {
        assert_eq!(Finish::Stop.max(Finish::Length), Finish::Length);
        assert_eq!(Finish::Filtered.max(Finish::Aborted), Finish::Aborted);
    }
}
