package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil"
)

// settings is what a server says of itself.
type settings struct {
	info   map[string]string // INFO
	config map[string]string // CONFIG GET; nil: forbidden, as at many hosted services
}

// asked are the settings on which promises rest.
var asked = []string{"appendonly", "appendfsync", "min-replicas-to-write", "min-replicas-max-lag", "replica-read-only"}

func (s *Store) settings(ctx context.Context) (settings, error) {
	all := settings{info: make(map[string]string)}
	for _, section := range []string{"server", "memory", "replication", "cluster"} {
		text, err := s.client.Do(ctx, s.client.B().Info().Section(section).Build()).ToString()
		if err != nil {
			return all, fmt.Errorf("redis: INFO: %w; the store's user needs +info", err)
		}
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				all.info[name] = value
			}
		}
	}
	config, err := s.client.Do(ctx, s.client.B().ConfigGet().Parameter(asked...).Build()).AsStrMap()
	if err == nil {
		all.config = config
	} else if ctx.Err() != nil {
		return all, plain(err)
	}
	return all, nil
}

// fit refuses what can never work. [ErrEviction], [ErrUnfit].
func (s settings) fit() error {
	version, _, _ := strings.Cut(s.info["redis_version"], ".")
	if major, err := strconv.Atoi(version); err != nil || major < 7 {
		return fmt.Errorf("%w: version %q; Redis or Valkey 7 or newer is needed", ErrUnfit, s.info["redis_version"])
	}
	if role := s.info["role"]; role != "master" {
		return fmt.Errorf("%w: it is a replica; name the primary", ErrUnfit)
	}
	if policy := s.info["maxmemory_policy"]; policy != "noeviction" {
		return fmt.Errorf("%w (it is %q)", ErrEviction, policy)
	}
	return nil
}

func (s settings) synced() bool {
	return s.config["appendonly"] == "yes" && s.config["appendfsync"] == "always"
}

func (s settings) replicated() bool {
	return s.info["cluster_enabled"] == "1" || s.info["connected_slaves"] != "0"
}

func (s settings) capabilities() counterfoil.Capabilities {
	return counterfoil.Capabilities{Durable: s.synced(), Linearizable: !s.replicated(), Shared: true}
}

// Advise says where the server, as it is set now, could lose an acknowledged change.
func (s *Store) Advise(ctx context.Context) ([]counterfoil.Advice, error) {
	now, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	return now.advice(), nil
}

func (s settings) advice() (all []counterfoil.Advice) {
	add := func(fix, says string, args ...any) {
		all = append(all, counterfoil.Advice{Says: fmt.Sprintf(says, args...), Fix: fix})
	}
	if err := s.fit(); err != nil {
		add("set it right before a node starts again: it would be refused", "%v", err)
	}
	switch {
	case s.config == nil:
		add("allow +config|get", "CONFIG GET is forbidden, so it is unknown what a crash loses: ended sessions may live again")
	case s.config["appendonly"] != "yes":
		add("set appendonly yes and appendfsync always", "appendonly is off: a crash loses everything since the last snapshot, and sessions ended since then live again")
	case s.config["appendfsync"] != "always":
		add("set appendfsync always", "appendfsync is %s: a crash of the machine loses the last second or more, and sessions ended in it live again", s.config["appendfsync"])
	}
	if s.config["replica-read-only"] == "no" {
		add("set replica-read-only yes", "replica-read-only is no: should this server become a replica, it would not refuse to answer with the past until a node's next poll finds it out")
	}
	if s.replicated() {
		const says = "replication is asynchronous: a fail-over may lose the last acknowledged changes, and sessions ended by them live again"
		if n := s.config["min-replicas-to-write"]; n == "" || n == "0" {
			add("set min-replicas-to-write 1 and a small min-replicas-max-lag", says+" without a bound")
		} else {
			add("make min-replicas-max-lag as small as replication allows", says+", up to min-replicas-max-lag: %s s", s.config["min-replicas-max-lag"])
		}
	}
	return all
}
