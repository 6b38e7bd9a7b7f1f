/** Where the captain is, kept in the address after the hash. */

export type Route =
  | { view: 'deck' }
  | { view: 'missions'; id: string | null }
  | { view: 'agents'; id: string | null }
  | { view: 'devlogs'; id: string | null }
  | { view: 'settings' };

export type View = Route['view'];

export function parseRoute(hash: string): Route {
  const [view = '', id = ''] = hash.replace(/^#\/?/, '').split('/').map(decode);
  switch (view) {
    case 'missions':
    case 'agents':
    case 'devlogs':
      return { view, id: id === '' ? null : id };
    case 'settings':
      return { view };
    default:
      return { view: 'deck' };
  }
}

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

  start(): void {
    const read = () => {
      this.route = parseRoute(location.hash);
    };
    addEventListener('hashchange', read);
    read();
  }

  go(view: View, id?: string): void {
    location.hash = href(view, id);
  }
}
