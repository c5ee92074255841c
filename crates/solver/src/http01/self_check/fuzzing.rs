//! Exposes the evaluation of a server's answer to the fuzz targets in `fuzz/`. Not part of the API.

use std::sync::LazyLock;

use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

use super::{SelfCheck, SelfCheckFailure, fetch};
use certwright_egress::Egress;

const TOKEN: &str = "tok-A_1";
const EXPECTED: &str = "tok-A_1.thumb";

static CHECK: LazyLock<Option<(SelfCheck, Runtime)>> = LazyLock::new(|| {
    let check = SelfCheck::new(vec![([192, 0, 2, 53], 53).into()], Egress::default()).ok()?;
    Some((check, Builder::new_current_thread().build().ok()?))
});

/// Evaluates `answer`, which a server sends over the wire for the challenge with the token `tok-A_1`.
///
/// # Errors
/// [`SelfCheckFailure`]
pub fn judge(answer: &[u8]) -> Result<(), SelfCheckFailure> {
    let Some((check, runtime)) = &*CHECK else { return Ok(()) };
    let url = check.url("example.com", TOKEN)?;
    let at = ([192, 0, 2, 80], 80).into();
    let answer = runtime.block_on(async {
        // The server has sent its whole answer before the request.
        let (ours, mut theirs) = tokio::io::duplex(answer.len() + 16 * 1024);
        let _ = theirs.write_all(answer).await;
        let _ = theirs.shutdown().await;
        fetch::exchange(ours, at, fetch::request(&url)?).await
    })?;
    if answer.is_redirect() {
        return check.redirect(&url, &answer).map(drop);
    }
    answer.judge(TOKEN, EXPECTED)
}
