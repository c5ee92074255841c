//! Watches that break, writes that get no answer or fail at random, and an API server that is away.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_renewed_and_deleted_though_watches_break_or_are_late() -> Result<()> {
    let life = async |watch: fn() -> Action| {
        TestNamespace::with("stumble-watch", async move |ns| {
            let load = Load::start(ns, |operator| operator).await?;
            load.api.script(move |request| match request.path.contains("watch=true") {
                true => watch(),
                false => Action::Pass,
            });
            load.operator.restart().await?;
            ns.apply(&certificate("web", &[&format!("a.{}.example.com", ns.name)], "")).await?;
            let issued = |revision: u32| {
                ns.wait("certificate/web", LONG, move |web| {
                    at_rest(web) && web["status"]["revision"] == revision
                })
            };
            issued(1).await?;
            let renew = json!({"metadata": {"annotations": {"certwright.dev/renew": "now"}}});
            ns.patch("certificate/web", renew).await?;
            issued(2).await?;
            ensure!(load.orders().await? <= 2, "more orders than certificates");
            ns.delete_object("certificate/web").await?;
            ns.wait_gone("certificate/web", LONG).await?;
            wait_nothing_left(ns).await
        })
        .await
    };
    let (late, broken) = futures::join!(
        life(|| Action::Late(Duration::from_secs(8))),
        life(|| Action::BreakAfter(Duration::from_millis(300))),
    );
    late.context("late watches")?;
    broken.context("watches that break")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_is_given_up_and_made_again() -> Result<()> {
    TestNamespace::with("stumble-hang", async |ns| {
        let load = Load::start(ns, |operator| operator).await?;
        let hung = AtomicBool::new(false);
        load.api.script(move |request| {
            let records = request.path.contains("/certificates/web/status")
                && String::from_utf8_lossy(&request.body).contains("\"order\"");
            match records && !hung.swap(true, Ordering::SeqCst) {
                true => Action::Hang,
                false => Action::Pass,
            }
        });
        ns.apply(&certificate("web", &[&format!("a.{}.example.com", ns.name)], "")).await?;
        ns.wait("certificate/web", LONG, at_rest).await?;
        ensure!(load.orders().await? == 1, "the order was placed again");
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_issuances_end_though_one_write_in_ten_fails_at_random() -> Result<()> {
    TestNamespace::with("stumble-many", async |ns| {
        let load = Load::start(ns, |operator| operator).await?;
        let seed = clock::now().as_nanosecond();
        println!("seed {seed}");
        load.api.script(move |request| {
            let is_read = request.method.is_safe();
            match hash(&(seed, request.index)) % 40 {
                0 if !is_read => status(500, "InternalError"),
                1 if !is_read => status(409, "Conflict"),
                2 if !is_read => Action::Drop,
                3 if !is_read => Action::PassThenDrop,
                _ => Action::Pass,
            }
        });
        let took = load.issue(ns, how_many(40)).await?;
        println!("{} certificates in {took:?}, {} orders", how_many(40), load.orders().await?);
        ensure!(load.orders().await? == how_many(40), "{} orders", load.orders().await?);
        load.api.pass();
        wait_nothing_left(ns).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_goes_on_when_the_api_server_is_back_and_the_log_has_little_to_say_of_it() -> Result<()> {
    TestNamespace::with("stumble-away", async |ns| {
        let load = Load::start(ns, elected).await?;
        let n = how_many(20);
        load.apply(ns, n).await?;
        ns.wait("certificate/web0", LONG, at_rest).await?;
        load.api.go_away();
        let away = Duration::from_secs(by_hand("CERTWRIGHT_AWAY", AWAY) as u64);
        let _ = timeout(away, std::future::pending::<()>()).await;
        load.api.pass();
        let took = load.wait(ns, n).await?;
        println!("{n} certificates {took:?} after the API server was back, {} orders", load.orders().await?);
        ensure!(load.orders().await? == n, "{} orders", load.orders().await?);
        wait_nothing_left(ns).await?;
        let logs: Vec<Value> =
            load.operator.logs().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let troubles =
            logs.iter().filter(|line| ["WARN", "ERROR"].contains(&line["level"].as_str().unwrap_or("")));
        let said: Vec<&str> = troubles.filter_map(|line| line["message"].as_str()).collect();
        // Before it is clear that the API server is away and not just one request has failed, one object may be logged.
        let expected = [
            "the API server is away; failed work continues when it is back",
            "no longer leading",
            "the reconcile failed and is retried",
        ];
        let once = |words: &&str| said.iter().filter(|said| *said == words).count() <= 1;
        ensure!(said.iter().all(|words| expected.contains(words) && once(words)), "{said:#?}");
        let back = logs.iter().filter(|line| line["message"] == "the API server is back").count();
        ensure!(back == 1, "it is back {back} times");
        Ok(())
    })
    .await
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(90);

/// How many seconds the API server is away; `CERTWRIGHT_AWAY` for longer.
const AWAY: usize = 12;

/// The number of Certificates; `CERTWRIGHT_LOAD` for manual runs with more.
fn how_many(usually: usize) -> usize {
    by_hand("CERTWRIGHT_LOAD", usually)
}

fn by_hand(variable: &str, usually: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

fn elected(operator: OperatorBuilder<'_>) -> OperatorBuilder<'_> {
    operator.argument("--leader-elect", "true").argument("--lease-duration", "8s")
}

/// A CA that can handle load, and an operator that reaches the API server through a proxy.
struct Load {
    _ca: StepCa,
    api: Proxy,
    operator: Operator,
}

impl Load {
    async fn start<'a>(
        ns: &'a TestNamespace,
        how: impl FnOnce(OperatorBuilder<'a>) -> OperatorBuilder<'a>,
    ) -> Result<Self> {
        let ca = StepCa::start(&ns.cluster).await?;
        let api = Proxy::of_api_server(&ns.cluster).await?;
        let operator = how(Operator::builder(ns).api_server(&api.url)).start().await?;
        ns.apply(&common::issuer(&ca.directory_url, &ca.root_pem, "")).await?;
        ns.wait_condition("issuer/ca", "Ready", "True", SOON).await?;
        Ok(Self { _ca: ca, api, operator })
    }

    /// Issues this many certificates; returns how long that took.
    async fn issue(&self, ns: &TestNamespace, n: usize) -> Result<Duration> {
        self.apply(ns, n).await?;
        self.wait(ns, n).await
    }

    async fn apply(&self, ns: &TestNamespace, n: usize) -> Result<()> {
        for number in 0..n {
            let host = format!("w{number}.{}.example.com", ns.name);
            ns.apply(&certificate(&format!("web{number}"), &[&host], "")).await?;
        }
        Ok(())
    }

    async fn wait(&self, ns: &TestNamespace, n: usize) -> Result<Duration> {
        let begun = Stopwatch::start();
        for number in 0..n {
            ns.wait(&format!("certificate/web{number}"), LONG, at_rest).await?;
        }
        Ok(begun.elapsed())
    }

    /// The number of orders that the CA has created.
    async fn orders(&self) -> Result<usize> {
        let metrics = self.operator.metrics().await?;
        let placed = metrics.lines().filter(|line| {
            line.starts_with("certwright_acme_requests_total{")
                && line.contains("operation=\"newOrder\"")
                && line.contains("status=\"201\"")
        });
        Ok(placed.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum())
    }
}
