// Keeps the namespaces of a pod while its containers start and end.
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
