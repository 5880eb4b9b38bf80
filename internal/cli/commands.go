package cli

// Groups of commands in the overview.
const (
	groupServe   = "Serve"
	groupPeople  = "Users and sessions"
	groupKeys    = "Keys and record"
	groupStore   = "Store"
	groupInquire = "Look at it"
)

// commands returns the table, in the order of help.
func commands() []command {
	return []command{
		{
			name: "serve", group: groupServe, serves: true, run: runServe,
			summary: "put sign-in and sessions in front of an application",
			about: "Prints `listening: URL` when it serves and, while there is no account, a one-time `set-up: URL`.\n" +
				"Ready when /readyz answers 200. SIGTERM stops it after the requests in flight; SIGHUP reads the certificate and the key file again.",
			examples: []string{
				"counterfoil serve --dev",
				"counterfoil serve --dev --upstream http://127.0.0.1:3000",
				"counterfoil serve --listen :443 --tls-cert cert.pem --tls-key key.pem --upstream http://127.0.0.1:3000",
				"counterfoil serve --trusted-proxy 127.0.0.1 --public-url https://app.example.org",
			},
		},
		{
			name: "user add", group: groupPeople, args: []string{"NAME"}, run: userAdd,
			summary: "make an account",
			about:   "The password is asked for, or read from standard input with one trailing newline cut.",
			options: []option{optionPassword, {"operator", "", "mark the account as an operator's; in this version that opens nothing more"}, optionJSON},
			examples: []string{
				"counterfoil user add alice",
				"counterfoil user add bob --operator --password-stdin < password.txt",
			},
		},
		{
			name: "user list", group: groupPeople, run: userList,
			summary: "list accounts", options: []option{optionJSON},
			examples: []string{"counterfoil user list", "counterfoil user list --json"},
		},
		{
			name: "user passwd", group: groupPeople, args: []string{"NAME"}, run: userPasswd,
			summary: "give an account another password and end its sessions",
			about:   "Returns when no node lets those sessions in any more; one that is silent holds that up by its lease.",
			options: []option{optionPassword, optionJSON}, examples: []string{"counterfoil user passwd alice"},
		},
		{
			name: "user disable", group: groupPeople, args: []string{"NAME"}, run: userDisable,
			summary: "refuse a user's sign-ins and end the user's sessions",
			about:   "Returns when no node lets those sessions in any more; one that is silent holds that up by its lease.",
			options: []option{optionJSON}, examples: []string{"counterfoil user disable alice"},
		},
		{
			name: "user enable", group: groupPeople, args: []string{"NAME"}, run: userEnable,
			summary: "let a disabled user sign in again",
			options: []option{optionJSON}, examples: []string{"counterfoil user enable alice"},
		},
		{
			name: "session list", group: groupPeople, run: sessionList,
			summary: "list live sessions", options: []option{{"user", "NAME", "of this user alone"}, optionJSON},
			examples: []string{"counterfoil session list", "counterfoil session list --user alice --json"},
		},
		{
			name: "session end", group: groupPeople, args: []string{"ID"}, optional: true, run: sessionEnd,
			summary: "end one session, a user's or all",
			about: "When the command returns, the server that it asked lets none of them in any more; other nodes follow within the lease.\n" +
				"If an ID begins with two dashes write -- before it.",
			options: []option{
				{"user", "NAME", "all sessions of this user"}, {"all", "", "all sessions of everybody"},
				{"wait", "", "return when no node lets them in any more, and print how long that took and on how many nodes; without a server this command is one of them"},
				{"reset-clock", "", "with --all, while no server runs: take the machine's clock for right although sessions know a later time"},
				{"reset-key", "", "with --all, while no node runs: take this node's key for right although the store was used with another"},
				optionJSON,
			},
			examples: []string{"counterfoil session end -Zk3v0v1m2n3b4c5d6e7fg", "counterfoil session end --user alice --wait", "counterfoil session end --all"},
		},
		{
			name: "key list", group: groupKeys, run: keyList,
			summary: "list keys, their state and how many sessions need them", options: []option{optionJSON},
			examples: []string{"counterfoil key list"},
		},
		{
			name: "key generate", group: groupKeys, run: keyGenerate,
			summary:  "print a new key, for COUNTERFOIL_KEY or a file that COUNTERFOIL_KEY_FILE names",
			about:    "Needed only where several nodes share a store or secrets are mounted: otherwise the server makes its own.",
			examples: []string{"umask 077; counterfoil key generate > counterfoil.key"},
		},
		{
			name: "key rotate", group: groupKeys, run: keyRotate,
			summary: "make a new primary key; nobody is signed out", options: []option{optionJSON},
			examples: []string{"counterfoil key rotate"},
		},
		{
			name: "key revoke", group: groupKeys, args: []string{"ID"}, run: keyRevoke,
			summary: "give up a key that may have leaked and end the sessions under it",
			about:   "Without --yes it says how many sessions that ends, and does nothing.",
			options: []option{{"yes", "", "do it"}, optionJSON}, examples: []string{"counterfoil key revoke 1a2b3c4d", "counterfoil key revoke 1a2b3c4d --yes"},
		},
		{
			name: "key wrap", group: groupKeys, args: []string{"FILE"}, run: keyWrap,
			summary: "encrypt the key file under the key in FILE; nobody is signed out",
			about: "FILE holds what `counterfoil key generate` prints and must lie elsewhere than the key file. From then on every start needs it, in COUNTERFOIL_WRAPPING_KEY_FILE; " +
				"keep a copy of FILE: without it everybody is signed out and nothing stored opens. A file that is wrapped already is wrapped anew, so that another key takes the place of the old.",
			options: []option{optionJSON}, examples: []string{"counterfoil key wrap /etc/counterfoil/wrapping-key"},
		},
		{
			name: "key unwrap", group: groupKeys, run: keyUnwrap,
			summary: "write the key file in the clear, protected by its mode alone; nobody is signed out",
			options: []option{optionJSON}, examples: []string{"counterfoil key unwrap"},
		},
		{
			name: "key reset", group: groupKeys, run: keyReset,
			summary: "end every session and remove the key file; the next start makes new keys",
			about: "No server may run. Nothing that was sealed before opens after it: old cookies are refused, restored sessions too. Accounts stay as they are; the audit goes on in a new chain. " +
				"No backup is made; one made with `counterfoil store backup` never holds the key. Keys that the environment names are not touched and nothing is done: change them where they are managed.\n" +
				"Without --yes it says what it would remove, and does nothing.",
			options: []option{{"yes", "", "do it"}, optionJSON}, examples: []string{"counterfoil key reset", "counterfoil key reset --yes"},
		},
		{
			name: "audit verify", group: groupKeys, run: auditVerify,
			summary: "check that the audit is whole; exit code 5 if it is not", options: []option{optionJSON},
			examples: []string{"counterfoil audit verify"},
		},
		{
			name: "audit tail", group: groupKeys, run: auditTail,
			summary: "show the last lines of the audit", options: []option{{"lines", "N", "how many (20)"}, optionJSON},
			examples: []string{"counterfoil audit tail", "counterfoil audit tail --lines 200 --json"},
		},
		{
			name: "store backup", group: groupStore, args: []string{"FILE"}, run: storeBackup,
			summary: "write sessions and accounts into a file, while servers run",
			about: "The file has mode 0600 and is written as a whole or not at all. Sessions in it are sealed as they are in the store and hold no token; accounts stand there with their password hashes. " +
				"The key is not in it: keep the key file elsewhere. Attempts and one-time links are left out.",
			options: []option{optionJSON}, examples: []string{"counterfoil store backup /var/backups/counterfoil.backup"},
		},
		{
			name: "store restore", group: groupStore, args: []string{"FILE"}, run: storeRestore,
			summary: "bring a backup back; nothing that was ended comes back with it",
			about: "Stop every server on the store first. The store must be empty, or be the one that the backup was made of (then --yes). " +
				"What ended since the backup is read from the audit, the data folder's or --audit; where that does not tell all since the backup, every session ends. " +
				"Broken off at any point, run it again; until it is done nothing starts on the store.",
			options: []option{
				{"audit", "FILE", "the audit of a node of that store"}, {"end-all", "", "ask no audit: accounts come back, sessions do not"},
				{"foreign", "", "believe a backup that was made with a key that is lost: accounts come back, sessions do not"},
				{"yes", "", "end the sessions that live in the store now"}, optionJSON,
			},
			examples: []string{"counterfoil store restore /var/backups/counterfoil.backup", "counterfoil store restore counterfoil.backup --audit audit.jsonl --yes"},
		},
		{
			name: "store copy", group: groupStore, run: storeCopy,
			summary: "move everything from one store to another; nobody is signed out",
			about: "Stop every server on the old store first; the command refuses while one works on it. It copies sessions, accounts, counters of attempts and one-time links into an empty store. " +
				"Cookies go on working with the same key: a store that several nodes share needs one that they share, so put DIR/keys where all nodes find it and name it in COUNTERFOIL_KEY_FILE.\n" +
				"Broken off at any point, the same command goes on. From its beginning on nothing starts on the old store, and until its end nothing on the new one; " +
				"--undo takes the old store back into use. Records stay sealed: no key is needed.",
			options: []option{
				{"from", "DSN", "the old store, or @FILE that holds its DSN"}, {"to", "DSN", "the new, empty store, or @FILE"},
				{"undo", "", "do not copy: let servers start on --from again; nothing may run on its copy"}, optionJSON,
			},
			examples: []string{
				"counterfoil store copy --from sqlite:data/sessions.db --to postgres://counterfoil@db/counterfoil",
				"counterfoil store copy --from sqlite:data/sessions.db --undo",
			},
		},
		{
			name: "node list", group: groupStore, run: nodeList,
			summary: "list the nodes that keep an audit of the store, and how far each has come",
			options: []option{optionJSON}, examples: []string{"counterfoil node list", "counterfoil node list --json"},
		},
		{
			name: "node remove", group: groupStore, args: []string{"NAME"}, run: nodeRemove,
			summary: "strike off a node that is gone for good, so that the log is not kept for it",
			about:   "The store keeps its log until the audit of every node has it; `counterfoil doctor` names one that holds it up. The name stands in DIR/node.",
			options: []option{optionJSON}, examples: []string{"counterfoil node remove k3uqv5z2xw7rj4mq"},
		},
		{
			name: "doctor", group: groupInquire, serves: true, run: doctor,
			summary: "check folder, keys, store, clock, listener and cookies, and say what to change",
			about:   "Checks the server that runs, or else the configuration given. Exit code 1 if something does not work.",
			options: []option{optionJSON}, examples: []string{"counterfoil doctor", "counterfoil doctor --tls-cert cert.pem --tls-key key.pem --json"},
		},
		{
			name: "policy", group: groupInquire, serves: true, run: policy,
			summary: "show the limits in force and the reason for each",
			options: []option{optionJSON}, examples: []string{"counterfoil policy", "counterfoil policy --json"},
		},
		{
			name: "version", group: groupInquire, run: version,
			summary: "show the version", options: []option{optionJSON}, examples: []string{"counterfoil version"},
		},
	}
}

var optionPassword = option{"password-stdin", "", "read the password from standard input"}
