package archive

import "testing"

func made(t testing.TB) map[string][]byte { return nil }
