// Keeps a fault in one view from taking the console with it.

import { Component, type ReactNode } from 'react';
import { ProblemNote } from './controls';

interface Props {
  /** What is shown; another one starts afresh. */
  of: string;
  children: ReactNode;
}

export class Boundary extends Component<Props, { error: Error | undefined }> {
  override state: { error: Error | undefined } = { error: undefined };

  static getDerivedStateFromError(error: unknown): { error: Error } {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override componentDidUpdate(before: Props): void {
    if (before.of !== this.props.of && this.state.error) this.setState({ error: undefined });
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    const problem = { code: 'internal' as const, message: error.message, fix: 'Everything else goes on working. Load the page again; if it comes back, tell whoever made the module.' };
    return <div className="page" data-fault={error.message}><ProblemNote title="This view could not be shown" problem={problem} onRetry={() => this.setState({ error: undefined })} /></div>;
  }
}
