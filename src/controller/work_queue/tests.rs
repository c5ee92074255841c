use super::*;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_is_started_is_not_started_twice_but_again_afterwards_if_it_was_requested() {
    let mut queue = WorkQueue::default();
    let first = queue.add("web").unwrap();
    assert!(queue.add("web").is_none(), "it waits for its turn");
    first.begins();
    assert!(queue.end(first, None).is_none(), "it saw what was requested before it began");
    let second = queue.add("web").unwrap();
    second.begins();
    assert!(queue.add("web").is_none());
    let third = queue.end(second, Some(SOON)).unwrap();
    third.begins();
    assert!(queue.end(third, None).is_none());
    assert!(queue.states.is_empty(), "an object at rest costs nothing");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_due_after_its_wait_or_earlier_if_it_is_requested() {
    let mut queue = WorkQueue::default();
    let begun = tokio::time::Instant::now();
    let (web, api) = (queue.add("web").unwrap(), queue.add("api").unwrap());
    web.begins();
    api.begins();
    assert!(queue.end(web, Some(2 * SOON)).is_none() && queue.end(api, Some(SOON)).is_none());
    assert_eq!(*queue.pass_time().await.object, "api");
    assert_eq!(begun.elapsed().as_secs(), 5);
    let web = queue.add("web").unwrap();
    web.begins();
    assert!(queue.end(web, None).is_none());
    assert!(
        tokio::time::timeout(10 * SOON, queue.pass_time()).await.is_err(),
        "its old time no longer counts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_years_is_bounded() {
    let mut queue = WorkQueue::default();
    let begun = tokio::time::Instant::now();
    let web = queue.add("web").unwrap();
    web.begins();
    assert!(queue.end(web, Some(Duration::MAX)).is_none());
    assert_eq!(*queue.pass_time().await.object, "web");
    assert_eq!(begun.elapsed().as_secs(), LONGEST.as_secs());
}
