//! Which peer serves a request: live counters, leases, estimates, policies, health.
