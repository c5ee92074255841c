module certwright.dev/tests/tools/pause

go 1.26.0
