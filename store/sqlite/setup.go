package sqlite

import "fmt"

// setUp makes a connection the one that writes, and the file one that is safe against a crash.
func setUp(c *conn) error {
	var mode string
	if err := c.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return classify(err)
	}
	if mode != "wal" {
		return fmt.Errorf("the file system cannot do write-ahead logging (journal mode is %q); put the file on a local disk", mode)
	}
	for _, pragma := range []string{
		"synchronous = FULL",
		"fullfsync = ON", // macOS: fsync alone does not reach the disk
		"temp_store = MEMORY",
		"trusted_schema = OFF",
		"cell_size_check = ON",
		"cache_size = -4096", // KiB: a batch fits; SQLite looks through all of it whenever an index's page was split
		"journal_size_limit = 67108864",
	} {
		if err := c.script("PRAGMA " + pragma); err != nil {
			return classify(err)
		}
	}
	return nil
}
