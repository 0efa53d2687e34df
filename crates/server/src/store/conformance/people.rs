//! Users, sessions, tokens.

use model::id::UserId;

use super::*;

async fn user(bench: &Bench<'_>, name: &str, role: Role) -> User {
    let new = NewUser {
        name: name.to_owned(),
        role,
        password_hash: "$argon2id$".to_owned(),
        must_change_password: true,
    };
    bench.store.create_user(new, audit(at(1), "user.create")).await.unwrap()
}

async fn session(bench: &Bench<'_>, user: UserId, digest: u8) -> Session {
    let new = NewSession {
        digest: [digest; 32],
        user,
        expires_at: at(1000),
        idle_expires_at: at(100),
        address: "192.0.2.1".to_owned(),
    };
    bench.store.create_session(new, audit(at(10), "session.create")).await.unwrap()
}

pub(crate) async fn users_sessions_and_tokens(bench: &Bench<'_>) {
    let store = &bench.store;
    assert!(!store.has_users().await.unwrap());
    let admin = user(bench, "Admin", Role::Admin).await;
    let taken = NewUser {
        name: "admin".to_owned(),
        role: Role::Viewer,
        password_hash: String::new(),
        must_change_password: false,
    };
    let taken = store.create_user(taken, audit(at(1), "user.create")).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    let entry = || audit(at(5), "session.refused");
    assert_eq!(store.login_failed(admin.id, None, entry()).await.unwrap(), 1);
    assert_eq!(store.login_failed(admin.id, Some(at(60)), entry()).await.unwrap(), 2);
    let known = store.credentials("ADMIN".to_owned()).await.unwrap().unwrap();
    assert_eq!((known.failures, known.locked_until), (2, Some(at(60))));
    let first = session(bench, admin.id, 1).await;
    let known = store.credentials("admin".to_owned()).await.unwrap().unwrap();
    assert_eq!((known.failures, known.locked_until), (0, None));
    assert!(store.session([1; 32], at(99)).await.unwrap().is_some());
    assert!(store.session([1; 32], at(100)).await.unwrap().is_none(), "idle");
    store.touch_session(first.id, at(2000)).await.unwrap();
    assert!(store.session([1; 32], at(999)).await.unwrap().is_some());
    assert!(store.session([1; 32], at(1000)).await.unwrap().is_none(), "over");
    session(bench, admin.id, 2).await;
    let entry = audit(at(20), "user.password");
    store.change_password(admin.id, "new".to_owned(), Some(first.id), entry).await.unwrap();
    assert!(store.session([1; 32], at(30)).await.unwrap().is_some());
    assert!(store.session([2; 32], at(30)).await.unwrap().is_none(), "ended by the change");
    let token = NewApiToken {
        digest: [9; 32],
        name: "ci".to_owned(),
        user: admin.id,
        permissions: vec![Permission::Read, Permission::Handle],
        expires_at: at(500),
    };
    let token = store.create_api_token(token, audit(at(30), "api_token.create")).await.unwrap();
    let (used, person) = store.use_api_token([9; 32], at(40)).await.unwrap().unwrap();
    assert_eq!((used.id, person.id, used.last_used_at), (token.id, admin.id, None));
    assert_eq!(used.permissions, [Permission::Read, Permission::Handle]);
    assert_eq!(
        store.api_tokens(PageAsk::default()).await.unwrap().items[0].last_used_at,
        Some(at(40))
    );
    assert!(store.use_api_token([9; 32], at(500)).await.unwrap().is_none(), "expired");
    store.remove_expired(at(5000)).await.unwrap();
    assert!(store.api_tokens(PageAsk::default()).await.unwrap().items.is_empty());
    assert!(matches!(
        store.delete_session(first.id, audit(at(50), "session.end")).await,
        Err(StoreError::NotFound { .. })
    ));
}

pub(crate) async fn the_last_admin_stays(bench: &Bench<'_>) {
    let store = &bench.store;
    let one = user(bench, "one", Role::Admin).await.id;
    let entry = || audit(at(5), "user.change");
    let demote = || UserPatch { role: Some(Role::Viewer), ..UserPatch::default() };
    let disable = || UserPatch { disabled: Some(true), ..UserPatch::default() };
    let is_refused = |it: Result<()>| matches!(it, Err(StoreError::Conflict { .. }));
    assert!(is_refused(store.patch_user(one, demote(), entry()).await.map(drop)));
    assert!(is_refused(store.patch_user(one, disable(), entry()).await.map(drop)));
    assert!(is_refused(store.delete_user(one, entry()).await));
    let two = user(bench, "two", Role::Admin).await.id;
    session(bench, two, 4).await;
    store.patch_user(two, disable(), entry()).await.unwrap();
    assert!(store.session([4; 32], at(11)).await.unwrap().is_none());
    assert!(is_refused(store.delete_user(one, entry()).await), "the other one is disabled");
    store.delete_user(two, entry()).await.unwrap();
    assert_eq!(store.users(PageAsk::default()).await.unwrap().items.len(), 1);
}
