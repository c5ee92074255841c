module certwright.dev/tests/tools/pebble-new-authz

go 1.26.0

require (
	github.com/go-jose/go-jose/v4 v4.1.4
	github.com/letsencrypt/pebble/v2 v2.10.1
)

require (
	github.com/letsencrypt/challtestsrv v1.4.2 // indirect
	github.com/miekg/dns v1.1.62 // indirect
	golang.org/x/mod v0.32.0 // indirect
	golang.org/x/net v0.49.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
	golang.org/x/sys v0.40.0 // indirect
	golang.org/x/tools v0.41.0 // indirect
)
