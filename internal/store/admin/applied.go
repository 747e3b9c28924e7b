package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Applied returns the numbers of the migrations that a file of control data has. The file is only read; nobody writes to it meanwhile.
func Applied(ctx context.Context, path string) (out []int, err error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}).String())
	if err != nil {
		return nil, fmt.Errorf("control data: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT number FROM admin_migration ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("control data: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// Known reports whether this program knows all migrations that a file of control data has.
func Known(ctx context.Context, path string) (bool, error) {
	all, err := Migrations()
	if err != nil {
		return false, err
	}
	applied, err := Applied(ctx, path)
	if err != nil && strings.Contains(err.Error(), "no such table") { // nothing was written yet
		return true, nil
	}
	return !slices.ContainsFunc(applied, func(n int) bool { return !slices.Contains(all, n) }), err
}

// Migrations are the numbers of those that this program has, for a file.
func Migrations() ([]int, error) {
	all, err := steps(dialect{})
	if err != nil {
		return nil, err
	}
	out := make([]int, len(all))
	for i := range all {
		out[i] = all[i].number
	}
	return out, nil
}
