// Keeps a pod's namespaces while its containers come and go.
package main

import (
	"context"
	"os/signal"
	"syscall"
)

func main() {
	asked, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	<-asked.Done()
}
