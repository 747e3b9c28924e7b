package store

import (
	"context"
	"fmt"
	"time"
)

// Hour is what came in one hour.
type Hour struct {
	Time         time.Time `json:"time"`
	Connections  int64     `json:"connections"`  // that got the banner
	Refused      int64     `json:"refused"`      // of these: refused, or gone without naming a sender
	Transactions int64     `json:"transactions"` //
	Early        int64     `json:"early"`        // refused before the banner
}

// Early is how many connections of a network were refused before the banner, for one reason in one minute.
type Early struct {
	Minute  time.Time `json:"minute"`
	Network string    `json:"network"` // "other" for those that there was no room to name
	Reason  string    `json:"reason"`
	N       int64     `json:"n"`
}

// Activity is what came in a time at all, whatever a search asked for.
type Activity struct {
	Hours []Hour `json:"hours"` // those in which anything came, the oldest first
	Gaps  []Gap  `json:"gaps,omitempty"`
}

// Total sums the hours up.
func (a *Activity) Total() Hour {
	var t Hour
	for _, h := range a.Hours {
		t.Connections += h.Connections
		t.Refused += h.Refused
		t.Transactions += h.Transactions
		t.Early += h.Early
	}
	return t
}

// None reports that no connection came at all, as far as the log can say: there are no gaps in it. A connection that still
// lasts and has named no sender is not in the log yet.
func (a *Activity) None() bool { return len(a.Hours) == 0 && len(a.Gaps) == 0 }

// Activity counts what came in a time, to the minute, hour by hour.
func (r *Reader) Activity(ctx context.Context, w Window) (*Activity, error) {
	a := new(Activity)
	low, high := w.minutes()
	byHour := make(map[int64]*Hour)
	var order []int64
	var err error
	a.Gaps, err = r.walk(ctx, w.first(), w.last(), true, func(ctx context.Context, v *view) error {
		rows, err := v.tx.QueryContext(ctx, `SELECT minute / 60, metric, SUM(n) FROM minute WHERE minute BETWEEN ? AND ?
 GROUP BY 1, 2 ORDER BY 1`, low, high)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var hour, n int64
			var metric string
			if err := rows.Scan(&hour, &metric, &n); err != nil {
				return err
			}
			h := byHour[hour]
			if h == nil {
				h = &Hour{Time: time.Unix(hour*3600, 0).UTC()}
				byHour[hour] = h
				order = append(order, hour)
			}
			h.add(metric, n)
		}
		return rows.Err()
	})
	for _, hour := range order {
		a.Hours = append(a.Hours, *byHour[hour])
	}
	if err != nil {
		return a, fmt.Errorf("log: activity: %w", err)
	}
	return a, nil
}

func (h *Hour) add(metric string, n int64) {
	switch metric {
	case metricConnection:
		h.Connections += n
	case metricRefused:
		h.Refused += n
	case metricTransaction:
		h.Transactions += n
	case metricEarly:
		h.Early += n
	}
}

// Early lists what was refused before the banner in a time, the newest minute first and the most frequent first within it;
// at most limit rows, and more reports that there were others.
func (r *Reader) Early(ctx context.Context, w Window, limit int) (list []Early, more bool, err error) {
	low, high := w.minutes()
	_, err = r.walk(ctx, w.first(), w.last(), false, func(ctx context.Context, v *view) error {
		rows, err := v.tx.QueryContext(ctx, `SELECT minute, net, reason, n FROM early WHERE minute BETWEEN ? AND ?
 ORDER BY minute DESC, n DESC, net LIMIT ?`, low, high, limit-len(list)+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e Early
			var minute int64
			if err := rows.Scan(&minute, &e.Network, &e.Reason, &e.N); err != nil {
				return err
			}
			if len(list) == limit {
				more = true
				return errStop
			}
			e.Minute = time.Unix(minute*60, 0).UTC()
			list = append(list, e)
		}
		return rows.Err()
	})
	return list, more, err
}
