//! A simulated engine and an open-loop load generator, beside the proxy and never in its path.
