use super::*;
use crate::tls::testing::Authority;

/// The roots that hold this authority only.
pub(in crate::tls) fn roots(authority: &Authority) -> RootCertStore {
    authorities(Peers::Of(&authority.file())).expect("usable")
}

#[test]
fn an_unusable_authority_file_is_named() {
    let missing = Path::new("/no/such/ca.pem");
    let problem = client(Peers::Of(missing), false).expect_err("unusable");
    assert_eq!(problem.file, missing);
    assert!(problem.reason.contains("cannot be read"), "{problem}");
}

#[test]
fn the_same_settings_have_the_same_identity_and_others_another() {
    let (one, two) = (Authority::new(), Authority::new());
    let identity = |peers, http2| client(peers, http2).expect("usable").identity;
    let (ours, theirs) = (one.file(), two.file());
    assert_eq!(
        identity(Peers::Of(&ours), true),
        identity(Peers::Of(&ours), true)
    );
    assert_ne!(
        identity(Peers::Of(&ours), true),
        identity(Peers::Of(&ours), false)
    );
    assert_ne!(
        identity(Peers::Of(&ours), true),
        identity(Peers::Of(&theirs), true)
    );
    assert_ne!(identity(Peers::Of(&ours), true), identity(Peers::Any, true));
}
