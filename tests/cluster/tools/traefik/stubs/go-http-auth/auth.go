// Package auth stands in for a fork that Traefik uses for basic and digest authentication. The tests use neither: everybody is
// refused.
package auth

import "net/http"

// SecretProvider returns the secret of a user.
type SecretProvider func(user, realm string) string

// BasicAuth refuses everybody.
type BasicAuth struct {
	Realm   string
	Secrets SecretProvider
}

// CheckAuth refuses everybody.
func (*BasicAuth) CheckAuth(*http.Request) string { return "" }

// RequireAuth answers 401.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }

// CheckSecret accepts no password.
func CheckSecret(string, string) bool { return false }

// DigestAuth refuses everybody.
type DigestAuth struct{}

// NewDigestAuthenticator returns one that refuses everybody.
func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

// CheckAuth refuses everybody.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth answers 401.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }

// RequireAuthStale answers 401.
func (d *DigestAuth) RequireAuthStale(w http.ResponseWriter, r *http.Request) { d.RequireAuth(w, r) }

// DigestAuthParams reads nothing.
func DigestAuthParams(string) map[string]string { return nil }
