package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Each function here is the setter of one setting, or makes those of one form. A setter gets the text as
// it was written, whatever its source.

func setText(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		if text == "" {
			return errors.New("is empty; leave it out or give it a value")
		}
		if strings.ContainsAny(text, "\x00\n\r") {
			return errors.New("has a line break or a zero byte in it")
		}
		*field(c) = text
		return nil
	}
}

func setSwitch(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, text string) error {
		switch text {
		case "true", "1":
			*field(c) = true
		case "false", "0":
			*field(c) = false
		default:
			return fmt.Errorf("%q is neither true nor false", text)
		}
		return nil
	}
}

func setSpan(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, text string) error {
		d, err := ParseSpan(text)
		if err != nil {
			return err
		}
		*field(c) = d
		return nil
	}
}

// setMinute takes a span of a minute at most, and says why it is no more.
func setMinute(field func(*Config) *time.Duration, why string) func(*Config, string) error {
	return func(c *Config, text string) error {
		d, err := ParseSpan(text)
		if err == nil && d > time.Minute {
			err = fmt.Errorf("%q is over 60s, the most: %s", text, why)
		}
		if err != nil {
			return err
		}
		*field(c) = d
		return nil
	}
}

func setAddress(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		_, port, err := net.SplitHostPort(text)
		if err != nil {
			return fmt.Errorf(`%q is no address; write host:port, such as "127.0.0.1:8080"`, text)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%q has no port between 0 and 65535", text)
		}
		*field(c) = text
		return nil
	}
}

// CheckStore says why a text is no DSN of a store that this program has.
func CheckStore(dsn string) error { return setStore(&Config{}, dsn) }

// setStore looks at the form of a DSN; each store reads its own again when it opens.
func setStore(c *Config, text string) error {
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case found && scheme == "sqlite":
		if rest == "" || strings.ContainsAny(rest, "?\x00") {
			return errors.New("sqlite: needs the path of a file, such as sqlite:/var/lib/counterfoil/sessions.db, and takes no options")
		}
	case found && scheme == "memory":
		if rest != "" {
			return errors.New("memory: takes nothing after the colon")
		}
	case found && (scheme == "postgres" || scheme == "postgresql"):
		if !strings.HasPrefix(rest, "//") {
			return errors.New(scheme + ": needs a URL, such as postgres://USER@HOST/DATABASE") // the text may hold a password
		}
	case found && (scheme == "redis" || scheme == "rediss" || scheme == "unix"):
		if !strings.HasPrefix(rest, "//") || len(rest) < 3 {
			return fmt.Errorf("%s: needs the place of a server, such as redis://127.0.0.1:6379 or unix:///run/redis.sock", scheme)
		}
	case found && scheme == "file":
		if !strings.HasPrefix(rest, "///") || len(strings.Trim(rest, "/")) == 0 {
			return errors.New("file: needs the absolute path of a folder, such as file:///var/lib/counterfoil/store")
		}
	case found && (scheme == "gs" || scheme == "s3" || scheme == "azblob"):
		if bucket, ok := strings.CutPrefix(rest, "//"); !ok || bucket == "" || strings.ContainsRune("/?#", rune(bucket[0])) {
			return fmt.Errorf("%s: needs the name of a bucket, such as %s://BUCKET/PREFIX", scheme, scheme)
		}
	default:
		return errors.New("is no store; use memory:, sqlite:PATH, postgres://…, redis://…, file:///PATH, s3://BUCKET/PREFIX, gs://… or azblob://…") // the text may hold a password
	}
	c.Store = text
	return nil
}

func setUpstream(c *Config, text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	c.Upstream = u
	return nil
}

func setPublicURL(c *Config, text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return errors.New("must have neither path nor query; the gateway serves a whole host")
	}
	u.Path = ""
	c.PublicURL = u
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New(`is no URL; write one such as "http://127.0.0.1:3000"`)
	case u.User != nil:
		return nil, errors.New("has a user or a password in it, which would stand in process lists and logs")
	case u.Fragment != "":
		return nil, errors.New("has a fragment in it")
	}
	return u, nil
}

func setProxies(c *Config, text string) error {
	var proxies []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if address, aerr := netip.ParseAddr(part); aerr == nil && address.Zone() == "" {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf(`%q is neither an address nor a range such as "10.0.0.0/8"`, part)
		}
		if prefix.Bits() == 0 {
			return fmt.Errorf("%q believes everybody's forwarded headers; name the proxy", part)
		}
		proxies = append(proxies, prefix.Masked())
	}
	c.TrustedProxy = proxies
	return nil
}

func setPrefix(c *Config, text string) error {
	if !strings.HasPrefix(text, "/") || text == "/" || path.Clean(text) != text ||
		strings.Trim(text, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") != "" {
		return fmt.Errorf(`%q is no prefix; write a path such as "/auth", without a slash at its end`, text)
	}
	c.Prefix = text
	return nil
}

// setWhole takes a whole number from 1 to most.
func setWhole(field func(*Config) *int, most int) func(*Config, string) error {
	return func(c *Config, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most || strconv.Itoa(n) != text {
			return fmt.Errorf("%q is no whole number from 1 to %d", text, most)
		}
		*field(c) = n
		return nil
	}
}

func setAtLimit(c *Config, text string) error {
	for _, o := range []counterfoil.Overflow{counterfoil.EvictIdle, counterfoil.EvictOldest, counterfoil.Deny} {
		if o.String() == text {
			c.AtLimit = o
			return nil
		}
	}
	return fmt.Errorf("%q is none of evict-idle, evict-oldest, deny", text)
}

func setLogFormat(c *Config, text string) error {
	switch text {
	case "auto", "text", "json":
		c.LogFormat = text
		return nil
	}
	return fmt.Errorf("%q is none of auto, text, json", text)
}
