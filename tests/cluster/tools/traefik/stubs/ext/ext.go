// Package ext stands in for the extensions of Traefik's configuration, of which there are none here.
package ext

// HTTP is an extension of the HTTP configuration.
type HTTP struct{}

// DeepCopyInto copies nothing.
func (*HTTP) DeepCopyInto(*HTTP) {}

// Router is an extension of a router.
type Router struct{}

// DeepCopyInto copies nothing.
func (*Router) DeepCopyInto(*Router) {}
