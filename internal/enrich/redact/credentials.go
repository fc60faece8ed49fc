package redact

import (
	"regexp"
)

// rule finds one kind of credential. A text is looked at by the expression only where one of the anchors stands.
type rule struct {
	name string
	// anchors are texts of at least three bytes; letters' case does not matter for finding them.
	anchors []string
	// re begins at the anchor and holds for what follows it.
	re *regexp.Regexp
	// group is the part of the match that is secret, 0 is all of it.
	group int
	// inside allows a letter or digit right before the anchor.
	inside bool
	// back is how far in front of the anchor the match may begin, over letters and digits only.
	back int
	// worth is a cheap look at what follows the anchor, before the expression is tried; nil is always.
	worth func(string) bool
	id    int
}

// hasUserinfo tells whether the authority of the URL whose "://" text begins with has a user and a password.
func hasUserinfo(text string) bool {
	colon := false
	for i := 3; i < len(text); i++ {
		switch text[i] {
		case ':':
			colon = true
		case '@':
			return colon
		case '/', '?', '#', ' ', '"', '\'', '\\', '<', '>', '\n', '\t':
			return false
		}
	}
	return false
}

// credentials returns the rules that are on by default.
func credentials() []rule {
	at := func(name, expr string, anchors ...string) rule {
		return rule{name: name, anchors: anchors, re: regexp.MustCompile(`^(?:` + expr + `)`)}
	}
	rules := []rule{
		at("aws_key", `(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b`, "AKIA", "ASIA", "ABIA", "ACCA"),
		at("github_token", `gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}`, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
		at("gitlab_token", `gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{20,}`, "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-"),
		at("llm_key", `sk-(?:[a-z]{2,8}[a-z0-9]*-)*[A-Za-z0-9_-]{20,}`, "sk-"),
		at("llm_key", `(?:gsk_|xai-|hf_|pplx-|r8_|nvapi-|fw_)[A-Za-z0-9_-]{20,}`, "gsk_", "xai-", "hf_", "pplx-", "r8_", "nvapi-", "fw_"),
		at("google_key", `AIza[0-9A-Za-z_-]{35}`, "AIza"),
		at("google_token", `ya29\.[0-9A-Za-z_-]{20,}`, "ya29."),
		at("slack_token", `xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}`, "xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"),
		at("stripe_key", `(?:sk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}`, "sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
		at("npm_token", `npm_[A-Za-z0-9]{36}`, "npm_"),
		at("pypi_token", `pypi-[A-Za-z0-9_-]{50,}`, "pypi-"),
		at("sendgrid_key", `SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}`, "SG."),
		at("digitalocean_token", `do[opr]_v1_[a-f0-9]{64}`, "dop_v1_", "doo_v1_", "dor_v1_"),
		at("vault_token", `hv[sbr]\.[A-Za-z0-9_-]{24,}`, "hvs.", "hvb.", "hvr."),
		at("yandex_token", `(?:AQVN[A-Za-z0-9_-]{35,38}|t1\.[A-Z0-9a-z_-]+[=]{0,2}\.[A-Z0-9a-z_-]{86}[=]{0,2}|y[0-3]_[-_A-Za-z0-9]{55,})`, "AQVN", "t1.", "y0_", "y1_", "y2_", "y3_"),
		at("jwt", `eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`, "eyJ"),
	}
	rules = append(rules,
		rule{name: "telegram_token", anchors: []string{":AA"}, re: regexp.MustCompile(`^[0-9]{8,10}:AA[A-Za-z0-9_-]{32,35}`), back: 10},
		rule{
			name: "slack_webhook", anchors: []string{"hooks.slack.com/"}, inside: true, group: 1,
			re: regexp.MustCompile(`^hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,})`),
		},
		rule{
			name: "private_key", anchors: []string{"-----BEGIN"}, inside: true,
			re: regexp.MustCompile(`^-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[^"]*?-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|(?:[A-Za-z0-9+/=\r\n]|\\+[nr])*)`),
		},
		rule{
			name: "bearer", anchors: []string{"bearer "}, group: 1,
			re: regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._~+/-]{16,}=*)`),
		},
		rule{
			name: "basic_auth", anchors: []string{"basic "}, group: 1,
			re: regexp.MustCompile(`^(?i:basic) +([A-Za-z0-9+/]{16,}={0,2})(?:[^A-Za-z0-9+/=]|$)`),
		},
		rule{
			name: "url_password", anchors: []string{"://"}, inside: true, group: 1, worth: hasUserinfo,
			re: regexp.MustCompile(`^://[^/?#\s:@"'\\<>]{0,}:([^/?#\s@"'\\<>]{1,})@[A-Za-z0-9.\[_-]`),
		},
		rule{
			name: "password", group: 1, inside: true,
			anchors: []string{"password", "passwd", "secret_key", "secret-key", "secretkey", "secret_access_key", "secretaccesskey", "client_secret", "api_key", "apikey", "api-key", "access_token", "refresh_token"},
			re:      regexp.MustCompile(`^[A-Za-z_-]{6,24}(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?([^\s"'\\,;&{}()\[\]<>]{6,})`),
		},
	)
	return rules
}
