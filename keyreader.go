package counterfoil

import (
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// keyReader says when the key file was read last because of something that no known key opens.
type keyReader struct {
	mu   sync.Mutex
	read bool
	at   time.Duration // monotonic: when that was over

	usable []keyring.KeyID // at the last poll; who polls has it, and waits for no file
}

// rereadEvery is how often at most: tokens that nobody issued look the same.
const rereadEvery = time.Second

// learnKeys reads the key file again where something was made under a key that this node does not
// have: after a rotation another node may have read the new file first.
func (m *Manager) learnKeys() {
	k := &m.keyReader
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read && m.clock.now().mono-k.at < rereadEvery {
		return
	}
	before := m.keys.Fingerprint()
	if err := m.keys.Reload(); err != nil {
		m.log.Warn("the key file was not read again", "error", err)
	} else if after := m.keys.Fingerprint(); after != before {
		m.log.Info("the key file was read again, for a key that another node uses", "fingerprint", after)
	}
	k.read, k.at = true, m.clock.now().mono // those who have waited meanwhile need not read it again
}

// missKeys empties the cache if a key that was usable at the last poll is so no longer, whoever took it
// out of the file: what it sealed opens nowhere any more, and must not live on here because it was
// opened before.
func (m *Manager) missKeys() {
	now, before := m.keys.Usable(), m.keyReader.usable
	m.keyReader.usable = now
	for _, id := range before {
		if !slices.Contains(now, id) {
			m.cache.flush()
			m.doubtStreams()
			m.log.Warn("session cache dropped", "why", "a key is usable no longer; sessions that it sealed are refused", "key", id.String())
			return
		}
	}
}
