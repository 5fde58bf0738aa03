//! What leaves the program holds no secret.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use perennial::token::Secret;

use crate::callers;
use crate::outage::{Kind, Order};
use crate::world::World;

// Rule G1: no event holds a token or a client secret; nor does what is made of them.
#[tokio::test]
async fn the_feed_holds_no_token_of_any_grant_and_no_client_secret() {
    let secret = Secret::new("planted-client-secret");
    let world = World::start(Duration::from_secs(4), &secret).await.expect("it starts");
    let world = Arc::new(world);
    let callers = callers::start(&world).expect("they start");
    let outage = Some((Kind::Unavailable { retry_after: None }, Duration::from_secs(2)));
    world.obey(&Order { client: Some("billing".to_owned()), outage }).expect("it is known");
    let outage = Some((Kind::Rejecting, Duration::from_secs(4)));
    world.obey(&Order { client: Some("mail".to_owned()), outage }).expect("it is known");
    let mut planted = vec![secret.expose().to_owned()];
    let mut text = String::new();
    let mut reader = Box::pin(Arc::clone(&world.feed).read());
    let reading = async {
        while let Some(message) = reader.next().await {
            text += &message.data;
            for member in &world.members {
                let Some(grant) = member.session.grant() else { continue };
                let tokens = [grant.access_token(), grant.refresh_token()];
                planted.extend(tokens.into_iter().flatten().map(|it| it.expose().to_owned()));
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(6), reading).await;
    drop(callers);
    planted.sort_unstable();
    planted.dedup();
    // A client secret, and eight sessions with a refresh token and two access tokens or more.
    assert!(planted.len() > 25, "{}", planted.len());
    for name in ["refresh.succeeded", "refresh.failed", "token.rejected", "response.rejected"] {
        assert!(text.contains(name), "{name} is among the events");
    }
    for secret in planted {
        assert!(!text.contains(&secret), "a secret is in the feed");
    }
}

#[tokio::test]
async fn an_outage_of_one_client_leaves_the_other_alone_and_ends_by_itself() {
    let world = World::start(Duration::from_secs(20), &Secret::new("s")).await.expect("it starts");
    let outage = Some((Kind::Silent, Duration::from_millis(50)));
    world.obey(&Order { client: Some("mail".to_owned()), outage }).expect("it is known");
    let [billing, mail] = &world.clients;
    assert_eq!((billing.outage.kind(), mail.outage.kind()), (None, Some(Kind::Silent)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(mail.outage.kind(), None);
    assert!(world.obey(&Order { client: Some("nobody".to_owned()), outage: None }).is_err());
}

#[test]
fn an_order_that_is_not_understood_is_refused() {
    let order = |query: &[(&str, &str)]| {
        let named = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Order::of(&named.collect())
    };
    let unavailable = Kind::Unavailable { retry_after: Some(5) };
    let asked = order(&[("status", "503"), ("retry-after", "5"), ("for", "10s")]);
    let outage = Some((unavailable, Duration::from_secs(10)));
    assert_eq!(asked, Ok(Order { client: None, outage }));
    assert_eq!(order(&[("end", "")]), Ok(Order { client: None, outage: None }));
    for wrong in
        [("status", "500"), ("for", "soon"), ("for", "2h"), ("retry-after", "x"), ("to", "1s")]
    {
        assert!(order(&[("status", "503"), wrong]).is_err() || wrong.0 == "status", "{wrong:?}");
    }
    assert!(order(&[("status", "500")]).is_err() && order(&[]).is_err());
}
