package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/jackc/pgx/v5"
)

// postgres fills a database and sweeps it.
func (p scalePlan) postgres(w io.Writer) (goals []goal, err error) {
	s, err := newPostgres("")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	f, err := p.fill(s)
	if err != nil {
		return nil, err
	}
	defer f.store.Close()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	_, began := f.clock.Now()
	if err := p.multiply(ctx, admin); err != nil {
		return nil, err
	}
	_, ended := f.clock.Now()
	record, err := tableSize(ctx, admin, "{cf_session}")
	if err != nil {
		return nil, err
	}
	line, err := tableSize(ctx, admin, "{cf_log,cf_op}")
	if err != nil {
		return nil, err
	}
	n := float64(p.sessions)
	fmt.Fprintf(w, "%s\n%d sessions, copied in %v\n", s.about, p.sessions, short(ended-began))
	fmt.Fprintf(w, "  a session takes %.0f B with its indexes, its line in the log %.0f B\n", record/n, line/n)
	if err := f.touch(w, func() (hot float64, err error) {
		err = admin.QueryRow(ctx, "SELECT n_tup_hot_upd::float8 / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'cf_session'").Scan(&hot)
		return hot, err
	}); err != nil {
		return nil, err
	}
	goals, err = f.goals(w)
	return goals, errors.Join(err, f.everything(w))
}

func tableSize(ctx context.Context, c *pgx.Conn, tables string) (bytes float64, err error) {
	err = c.QueryRow(ctx, "SELECT sum(pg_total_relation_size(t))::float8 FROM unnest($1::text::regclass[]) t", tables).Scan(&bytes)
	return bytes, err
}

// multiply copies what was signed in, and what that left in the log, under other IDs and subjects; of
// the copies the first have expired. Whatever else is in a row stays as the store wrote it.
func (p scalePlan) multiply(ctx context.Context, c *pgx.Conn) error {
	now, _ := counterfoil.SystemClock().Now()
	past := now.Add(-24 * time.Hour).UnixMilli()
	for _, step := range []struct {
		text string
		args []any
	}{
		{"CREATE TEMPORARY TABLE sample AS SELECT row_number() OVER (ORDER BY s.born) - 1 AS i, s, l, o FROM cf_session s " +
			"JOIN cf_log l ON l.session = s.id JOIN cf_op o ON o.op = l.op LIMIT $1", []any{cycled}},
		{"CREATE TEMPORARY TABLE copies AS SELECT g % $1 AS i, h.seq + g AS born, g <= $2 AS expired, $4::bigint + g AS past, '\\x' || md5('id ' || g) AS id, " +
			"'\\x' || md5('subject ' || g) AS subject, '\\x' || md5('op ' || g) AS op FROM cf_log_head h, generate_series(1, $3::bigint - (SELECT count(*) FROM cf_session)) g",
			[]any{cycled, p.expired, p.sessions, past}},
		{"INSERT INTO cf_session SELECT r.* FROM copies JOIN sample USING (i), LATERAL jsonb_populate_record(s, jsonb_build_object(" +
			"'id', id, 'subject', subject, 'born', born) || CASE WHEN expired THEN jsonb_build_object('idle_end', past, 'due', past, 'seen', past) ELSE '{}' END) r", nil},
		{"INSERT INTO cf_log SELECT r.* FROM copies JOIN sample USING (i), LATERAL jsonb_populate_record(l, jsonb_build_object(" +
			"'session', id, 'subject', subject, 'seq', born, 'op', op)) r", nil},
		{"INSERT INTO cf_op SELECT r.* FROM copies JOIN sample USING (i), LATERAL jsonb_populate_record(o, jsonb_build_object(" +
			"'session', id, 'seq', born, 'op', op)) r", nil},
		{"UPDATE cf_log_head SET seq = (SELECT max(seq) FROM cf_log)", nil},
		{"VACUUM ANALYZE cf_session", nil},
		{"VACUUM ANALYZE cf_log", nil},
		{"VACUUM ANALYZE cf_op", nil},
		{"CHECKPOINT", nil},
	} {
		if _, err := c.Exec(ctx, step.text, step.args...); err != nil {
			return fmt.Errorf("%.40s…: %w", step.text, err)
		}
	}
	return nil
}
