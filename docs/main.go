// Command docs writes the pages that are made from the program's own tables: docs/dialects.md, docs/openapi.yaml and
// the settings in docs/cli.md. Run it by `make generate` from the repository's root.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mindscope/mindscope/internal/api/team"
	"github.com/mindscope/mindscope/internal/config"
	"github.com/mindscope/mindscope/internal/enrich/dialect"
	"github.com/mindscope/mindscope/internal/query/messages"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run() error {
	page, err := dialects()
	if err != nil {
		return err
	}
	api, err := team.Describe()
	if err != nil {
		return fmt.Errorf("describe the API: %w", err)
	}
	cli, err := commandLine()
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{"docs/dialects.md": page, "docs/openapi.yaml": api, "docs/cli.md": cli} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("write page (run this from the repository's root): %w", err)
		}
	}
	return nil
}

const (
	settingsBegin = "<!-- settings: generated from internal/config by `make generate` -->\n"
	settingsEnd   = "<!-- end of settings -->\n"
)

// commandLine returns docs/cli.md with the settings as they are.
func commandLine() ([]byte, error) {
	page, err := os.ReadFile("docs/cli.md")
	if err != nil {
		return nil, fmt.Errorf("read page (run this from the repository's root): %w", err)
	}
	before, rest, begins := strings.Cut(string(page), settingsBegin)
	_, after, ends := strings.Cut(rest, settingsEnd)
	if !begins || !ends {
		return nil, errors.New("docs/cli.md has no place for the settings")
	}
	var b strings.Builder
	b.WriteString(before + settingsBegin + "\n| key in the file | variable | flag | default | meaning |\n|---|---|---|---|---|\n")
	for _, s := range config.Describe() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Key, code(s.Env), code(s.Flag), code(s.Default), strings.ReplaceAll(s.Doc, "|", "\\|"))
	}
	b.WriteString("\n" + settingsEnd + after)
	return []byte(b.String()), nil
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

const head = `<!-- Generated from internal/enrich/dialect/tables by ` + "`make generate`" + `. Do not edit. -->

# Dialects

Agents report in many ways. MindScope reads each and writes what it found into columns of its own, the same for all:
operation, provider, model, agent, tool, conversation, user, task and its type, quality, tokens in disjoint buckets, cost.
The sender's attributes stay as they came, whatever their names; a name of the conventions that is there is never changed.
The schema URL is kept, and the column ` + "`dialect`" + ` says how a span was read.

A span is read as the first dialect below that it is known by: scopes and the draft's names come first, then attributes in
the order of this page. Places are asked from top to bottom; the first that says something answers.

**Tokens.** Buckets are disjoint: ` + "`input`" + ` (uncached), ` + "`cache_read`, `cache_write_5m`, `cache_write_1h`" + `,
` + "`output`" + ` (visible) and ` + "`reasoning`" + `. Most senders include cached tokens in their input and reasoning in their
output; those that don't are marked. A count may be a number or a text; negative, broken and absurd ones (above 2⁴⁰) are no
count, and what is not counted is unknown, never 0. A call counts where no other call is below it; what an agent or workflow
reports counts only where nothing below it reports anything. What the sender reported stays beside it.

**Tools that are none.** ` + "`execute_tool (merged)`" + ` and the like become ` + "`merged_tools`" + `; tools named
` + "`transfer_to_…`, `handoff_to_…` and `handoff to …`" + ` become ` + "`handoff`" + `. Neither counts as a call of a tool.

`

const middle = `## Messages

Messages are read when they are shown or searched; nothing that is stored changes. One list of places serves all dialects,
since their names differ. The shapes of OpenTelemetry, OpenAI (chat and responses), Anthropic, Gemini, Bedrock, the Vercel
AI SDK, LangChain, Genkit and flattened attributes become one: a role and parts of the kinds text, reasoning, tool_call,
tool_result, media and raw. What does not parse is raw: shown as it came. Events and log records of the older conventions
(` + "`gen_ai.user.message`, `gen_ai.choice`" + ` and the like) are read where a span has no messages itself.

`

func dialects() ([]byte, error) {
	tables, err := dialect.Page()
	if err != nil {
		return nil, fmt.Errorf("describe dialects: %w", err)
	}
	page := bytes.Join([][]byte{[]byte(head), tables, []byte(middle), messages.Page()}, nil)
	return append(bytes.TrimRight(page, "\n"), '\n'), nil
}
