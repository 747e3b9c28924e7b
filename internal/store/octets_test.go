package store

import (
	"bytes"
	"context"
	"database/sql"
	"runtime"
	"testing"
)

// TestOctets shows what is read of each type, and that a row that was read holds no lock of database/sql: when the context ends, its
// rows are closed whatever their reader is doing.
func TestOctets(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, err := db.QueryContext(ctx, "SELECT x'0102' UNION ALL SELECT NULL UNION ALL SELECT 'text' UNION ALL SELECT 7 UNION ALL SELECT x'' UNION ALL SELECT x'03' UNION ALL SELECT x'04'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got octets
	for _, want := range [][]byte{{1, 2}, nil, []byte("text"), {}, {}, {3}} {
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := rows.Scan(&got); err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%v %v, want %v", []byte(got), err, want)
		}
	}
	cancel()
	for bounded := bounded30(t); db.Stats().InUse > 0; runtime.Gosched() {
		if bounded.Err() != nil {
			t.Fatal("who reads a row keeps it from being closed")
		}
	}
}
