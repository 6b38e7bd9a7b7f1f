/** Where the captain is, kept in the address after the hash. */

export type Route =
  | { view: 'deck' }
  | { view: 'missions'; id: string | null }
  | { view: 'agents'; id: string | null }
  | { view: 'inbox'; id: string | null }
  | { view: 'devlogs'; id: string | null }
  | { view: 'review'; id: string | null }
  | { view: 'topics'; id: string | null }
  | { view: 'performance' }
  | { view: 'health'; id: string | null }
  | { view: 'places' }
  | { view: 'import' }
  | { view: 'settings'; id: string | null };

export type View = Route['view'];

export function parseRoute(hash: string): Route {
  const [path = ''] = hash.replace(/^#\/?/, '').split('?');
  const [view = '', id = ''] = path.split('/').map(decode);
  switch (view) {
    case 'missions':
    case 'agents':
    case 'inbox':
    case 'devlogs':
    case 'review':
    case 'topics':
    case 'health':
    case 'settings':
      return { view, id: id === '' ? null : id };
    case 'performance':
    case 'places':
    case 'import':
      return { view };
    default:
      return { view: 'deck' };
  }
}

/** What stands behind the `?` of the address. */
export const parseQuery = (hash: string): string => hash.split('?').slice(1).join('?');

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(view: View, id?: string): string {
  return id === undefined ? `#/${view}` : `#/${view}/${encodeURIComponent(id)}`;
}

export class Router {
  route = $state.raw<Route>({ view: 'deck' });
  /** How the screen is set up: what stands behind the `?` of the address. */
  query = $state('');
  /** The address of the missions as they were looked at last. */
  missions = $state(href('missions'));

  start(): void {
    const read = () => {
      this.route = parseRoute(location.hash);
      this.query = parseQuery(location.hash);
    };
    addEventListener('hashchange', read);
    read();
  }

  go(view: View, id?: string): void {
    location.hash = href(view, id);
  }

  /** Writes how a screen is set up into the address, in place of what was there. */
  setQuery(view: View, query: URLSearchParams): void {
    const text = query.toString();
    this.query = text;
    history.replaceState(history.state, '', `${href(view)}?${text}`);
  }

  /** Writes how the missions are shown into the address, in place of what was there. */
  setMissions(query: string): void {
    this.query = query;
    this.missions = `${href('missions')}?${query}`;
    history.replaceState(history.state, '', this.missions);
  }
}
