package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"gatepost/internal/alarm"
)

// Alarms keeps the alarms of one node where all nodes see them.
type Alarms struct {
	DB   *DB
	Node string
}

var _ alarm.Store = (*Alarms)(nil)

// Load is that of alarm.Store.
func (s *Alarms) Load(ctx context.Context) (out []alarm.Alarm, err error) {
	err = s.DB.Read(ctx, func(tx *Tx) error {
		out = nil
		return tx.Each("SELECT body FROM alarm WHERE node = ? ORDER BY id", []any{s.Node}, func(scan func(into ...any) error) error {
			return readAlarm(scan, &out)
		})
	})
	return out, err
}

// readAlarm adds the alarm of a row.
func readAlarm(scan func(into ...any) error, out *[]alarm.Alarm) error {
	var body string
	if err := scan(&body); err != nil {
		return err
	}
	var a alarm.Alarm
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return fmt.Errorf("control data: alarm: %w", err)
	}
	*out = append(*out, a)
	return nil
}

// Save is that of alarm.Store.
func (s *Alarms) Save(ctx context.Context, list []alarm.Alarm) error {
	return s.DB.Write(ctx, func(tx *Tx) error {
		for i := range list {
			a := &list[i]
			body, err := json.Marshal(a)
			if err != nil {
				return err
			}
			standing := 0
			if a.Standing() {
				standing = 1
			}
			_, err = tx.Exec("INSERT INTO alarm (node, id, standing, since, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (node, id) DO UPDATE SET standing = excluded.standing, since = excluded.since, body = excluded.body",
				s.Node, a.ID, standing, Micros(a.Since), string(body))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove is that of alarm.Store.
func (s *Alarms) Remove(ctx context.Context, ids []string) error {
	return s.DB.Write(ctx, func(tx *Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec("DELETE FROM alarm WHERE node = ? AND id = ?", s.Node, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// mostElsewhere bounds the alarms of other nodes that are shown.
const mostElsewhere = 1000

// Elsewhere returns the alarms that stand at other nodes, by node, the newest first.
func (s *Alarms) Elsewhere(ctx context.Context) (out map[string][]alarm.Alarm, err error) {
	err = s.DB.Read(ctx, func(tx *Tx) error {
		out = map[string][]alarm.Alarm{}
		return tx.Each(fmt.Sprintf("SELECT node, body FROM alarm WHERE node <> ? AND standing = 1 ORDER BY since DESC LIMIT %d", mostElsewhere), []any{s.Node}, func(scan func(into ...any) error) error {
			var node string
			var list []alarm.Alarm
			if err := readAlarm(func(into ...any) error { return scan(append([]any{&node}, into...)...) }, &list); err != nil {
				return err
			}
			out[node] = append(out[node], list...)
			return nil
		})
	})
	return out, err
}
