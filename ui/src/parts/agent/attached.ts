/** How an agent that runs elsewhere on this machine is started, as lines to copy. */

/** A word of a shell, quoted where it has to be. */
const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export interface AttachLine {
  title: string;
  about: string;
  text: string;
}

/** The two examples that come with Hivekeeper, and one request by hand. */
export function attachLines(name: string, token: string, url: string): AttachLine[] {
  const env = `HIVEKEEPER_URL=${quoted(url)} HIVEKEEPER_TOKEN=${quoted(token)}`;
  return [
    {
      title: 'In Python',
      about: 'Runs COMMAND for each mission, with what the agent is told on standard input.',
      text: `${env} python3 examples/attached_agent.py ${quoted(name)} COMMAND`,
    },
    {
      title: 'In a shell',
      about: 'The same with curl; the command gets the whole lease as JSON.',
      text: `${env} sh examples/attached_agent.sh ${quoted(name)} COMMAND`,
    },
  ];
}
