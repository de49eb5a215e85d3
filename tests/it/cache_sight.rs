//! What the caches did can be seen.
