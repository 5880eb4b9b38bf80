package postgres

import (
	"context"
	"fmt"

	"github.com/counterfoil/counterfoil"
)

const readSettings = `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_standby_names'),
	(SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
	coalesce((SELECT NOT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AND coalesce(inet_server_addr() <> inet_client_addr(), false)`

// Advise says where the server, as it is set now, could lose an acknowledged change, or could be
// listened to.
func (s *Store) Advise(ctx context.Context) (all []counterfoil.Advice, err error) {
	var fsync, pages, names string
	var standbys, synchronous int
	var open bool
	if err := s.row(ctx, readSettings, nil, &fsync, &pages, &names, &standbys, &synchronous, &open); err != nil {
		return nil, err
	}
	add := func(fix, says string) { all = append(all, counterfoil.Advice{Says: says, Fix: fix}) }
	if fsync != "on" {
		add("set fsync = on", "fsync is off: a crash of the machine may lose or damage everything, and sessions that were ended live again")
	}
	if pages != "on" {
		add("set full_page_writes = on", "full_page_writes is off: a crash of the machine may damage tables")
	}
	switch {
	case standbys > 0 && names == "":
		add("name one in synchronous_standby_names", fmt.Sprintf("%d standbys follow asynchronously: a fail-over may lose the last acknowledged changes, "+
			"sessions ended by them live again, and the bound for ends does not hold across it", standbys))
	case names != "" && standbys == 0:
		add("start the standby, or take it out of synchronous_standby_names", "no standby is connected, and synchronous_standby_names asks for one: every change waits for it")
	}
	if open {
		add("add sslmode=verify-full to the DSN", "the connection to the server crosses a network unencrypted")
	}
	return all, nil
}
