//! Wire formats of the model APIs: requests, event streams, usage, errors, replay.
