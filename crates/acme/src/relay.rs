use http::{Request, Response};

use crate::{AcmeError, Operation, Server};

impl Server {
    /// Sends a request of another ACME client. The connections, the egress rules and the limits are those of our own requests.
    /// The answer can have any status.
    ///
    /// # Errors
    /// [`AcmeError`], if there is no answer, or one that exceeds the limits.
    pub async fn relay(
        &self,
        operation: Operation,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, AcmeError> {
        let (head, body) = request.into_parts();
        let fill = |ours: reqwest::RequestBuilder| ours.headers(head.headers).body(body);
        let transport = &self.inner.transport;
        let reply = transport.send(operation, head.method, &head.uri.to_string(), fill).await?;
        let mut answer = Response::new(reply.body);
        *answer.status_mut() = reply.status;
        *answer.headers_mut() = reply.headers;
        Ok(answer)
    }
}
